"""The database hangs each event on the chain by itself, as the transaction commits that wrote it.

A link's hash is sha256(hash before ‖ "\\n" ‖ event ‖ "\\n" ‖ record), all as UTF-8; of the first, the hash before is empty.
The event is the text of a jsonb array of its columns; the record is empty, or, for the end of a build, what
`releases_record` says of the build's row and of all rows that are final with it.

The trigger is deferred: the lock that puts the links in one order is taken when every other lock of the transaction is
held already, so it can be part of no deadlock, and it is held only for the commit.
"""

from django.contrib.auth.management import create_permissions
from django.db import migrations

CHAIN = """
CREATE FUNCTION releases_filled(row_ jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  -- Without what is empty: a column that a later version adds changes no digest.
  SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(row_)
  WHERE value NOT IN ('null', '""', '[]', '{}', 'false')
$$;

CREATE FUNCTION releases_record(build bigint) RETURNS text LANGUAGE sql STABLE
  SET timezone = 'UTC' SET extra_float_digits = 1 AS $$
  SELECT encode(sha256(convert_to(jsonb_build_array(
    releases_filled(to_jsonb(b)),
    (SELECT jsonb_agg(releases_filled(to_jsonb(s)) ORDER BY s.id) FROM releases_step s WHERE s.build_id = b.id),
    (SELECT jsonb_agg(releases_filled(to_jsonb(p)) ORDER BY p.id) FROM releases_package p WHERE p.build_id = b.id),
    (SELECT releases_filled(to_jsonb(a)) FROM releases_artifact a WHERE a.id = b.artifact_id),
    (SELECT releases_filled(to_jsonb(i)) FROM releases_image i WHERE i.id = b.image_id)
  )::text, 'UTF8')), 'hex')
  FROM releases_build b WHERE b.id = build
$$;

CREATE FUNCTION releases_told(e releases_event) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_array(
    e.id, (extract(epoch FROM e.at) * 1000000)::bigint, e.actor_id, e.actor_name, e.verb, e.application_id, e.build_id, e.data
  )::text
$$;

CREATE FUNCTION releases_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last_ releases_link%ROWTYPE;
  record_ text := '';
BEGIN
  PERFORM pg_advisory_xact_lock(7206401331);
  SELECT * INTO last_ FROM releases_link ORDER BY position DESC LIMIT 1;
  IF NEW.verb = 'build.finished' THEN
    record_ := coalesce(releases_record(NEW.build_id), '');
  END IF;
  INSERT INTO releases_link (position, event_id, record, hash) VALUES (
    coalesce(last_.position, 0) + 1, NEW.id, record_,
    encode(sha256(convert_to(concat_ws(E'\\n', coalesce(last_.hash, ''), releases_told(NEW), record_), 'UTF8')), 'hex')
  );
  RETURN NULL;
END $$;

DO $$
DECLARE
  event_ releases_event;
  before_ text := '';
  record_ text;
  position_ bigint := 0;
BEGIN
  FOR event_ IN SELECT * FROM releases_event ORDER BY id LOOP
    record_ := '';
    IF event_.verb = 'build.finished' THEN
      record_ := coalesce(releases_record(event_.build_id), '');
    END IF;
    position_ := position_ + 1;
    before_ := encode(sha256(convert_to(concat_ws(E'\\n', before_, releases_told(event_), record_), 'UTF8')), 'hex');
    INSERT INTO releases_link (position, event_id, record, hash) VALUES (position_, event_.id, record_, before_);
  END LOOP;
END $$;

CREATE CONSTRAINT TRIGGER event_chained AFTER INSERT ON releases_event
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION releases_chain();
CREATE TRIGGER link_final BEFORE UPDATE OR DELETE ON releases_link
  FOR EACH ROW EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER event_whole BEFORE TRUNCATE ON releases_event EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER link_whole BEFORE TRUNCATE ON releases_link EXECUTE FUNCTION releases_refuse();
"""
LOOSEN = """
DROP TRIGGER link_whole ON releases_link;
DROP TRIGGER event_whole ON releases_event;
DROP TRIGGER link_final ON releases_link;
DROP TRIGGER event_chained ON releases_event;
DROP FUNCTION releases_chain();
DROP FUNCTION releases_told(releases_event);
DROP FUNCTION releases_record(bigint);
DROP FUNCTION releases_filled(jsonb);
"""


def let_groups_see(apps, schema_editor):
    # Permissions are made after all migrations; the groups need this one now.
    config = apps.get_app_config("releases")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    see = Permission.objects.get(content_type__app_label="releases", codename="view_link")
    for group in Group.objects.filter(name__in=["viewers", "release managers"]):
        group.permissions.add(see)


class Migration(migrations.Migration):
    dependencies = [("releases", "0021_links")]
    operations = [
        migrations.RunSQL(CHAIN, LOOSEN),
        migrations.RunPython(let_groups_see, migrations.RunPython.noop),
    ]
