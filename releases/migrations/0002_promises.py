"""What the database promises by itself: a finished build and an event never change, and the two groups exist."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

REFUSE = """
CREATE FUNCTION releases_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: the record is final', TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER build_final BEFORE UPDATE OR DELETE ON releases_build
  FOR EACH ROW WHEN (OLD.state = 'finished') EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER step_final BEFORE UPDATE OR DELETE ON releases_step
  FOR EACH ROW WHEN (OLD.result <> 'running') EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER event_final BEFORE UPDATE OR DELETE ON releases_event
  FOR EACH ROW EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER artifact_final BEFORE UPDATE OR DELETE ON releases_artifact
  FOR EACH ROW EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER image_final BEFORE UPDATE OR DELETE ON releases_image
  FOR EACH ROW EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER package_final BEFORE UPDATE OR DELETE ON releases_package
  FOR EACH ROW EXECUTE FUNCTION releases_refuse();
"""
ALLOW = """
DROP TRIGGER package_final ON releases_package;
DROP TRIGGER image_final ON releases_image;
DROP TRIGGER artifact_final ON releases_artifact;
DROP TRIGGER step_final ON releases_step;
DROP TRIGGER event_final ON releases_event;
DROP TRIGGER build_final ON releases_build;
DROP FUNCTION releases_refuse();
"""
SEEN = ("application", "ref", "build", "step", "artifact", "image", "package", "preview", "preparation", "event")


def make_groups(apps, schema_editor):
    # Permissions are made after all migrations; these two groups need them now.
    config = apps.get_app_config("releases")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    ours = Permission.objects.filter(content_type__app_label="releases")
    see = list(ours.filter(codename__in=[f"view_{noun}" for noun in SEEN]))
    Group.objects.get_or_create(name="viewers")[0].permissions.set(see)
    release = ours.get(codename="release_application")
    Group.objects.get_or_create(name="release managers")[0].permissions.set([*see, release])


class Migration(migrations.Migration):
    dependencies = [("releases", "0001_initial"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [
        migrations.RunSQL(REFUSE, ALLOW),
        migrations.RunPython(make_groups, migrations.RunPython.noop),
    ]
