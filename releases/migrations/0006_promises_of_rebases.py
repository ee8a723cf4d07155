"""A rebase is of a release of the same application, and has its commit and its very archive."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION releases_rebase_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT 1 FROM releases_build base
    WHERE base.id = NEW.rebase_of_id AND base.outcome = 'succeeded' AND base.application_id = NEW.application_id
      AND base.commit = NEW.commit AND (NEW.artifact_id IS NULL OR NEW.artifact_id = base.artifact_id)
  ) THEN
    RAISE EXCEPTION '% of % is refused: a rebase has commit and archive of a release of its application',
      TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER build_rebase_keeps BEFORE INSERT OR UPDATE ON releases_build
  FOR EACH ROW WHEN (NEW.rebase_of_id IS NOT NULL) EXECUTE FUNCTION releases_rebase_keeps();
"""
ALLOW = """
DROP TRIGGER build_rebase_keeps ON releases_build;
DROP FUNCTION releases_rebase_keeps();
"""


class Migration(migrations.Migration):
    dependencies = [("releases", "0005_rebases")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
