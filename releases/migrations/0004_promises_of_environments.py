"""An environment is final once it is written, and both groups may see it."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

REFUSE = """
CREATE TRIGGER environment_final BEFORE UPDATE OR DELETE ON releases_environment
  FOR EACH ROW EXECUTE FUNCTION releases_refuse();
"""
ALLOW = "DROP TRIGGER environment_final ON releases_environment;"


def let_groups_see(apps, schema_editor):
    # Permissions are made after all migrations; the groups need this one now.
    config = apps.get_app_config("releases")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    see = Permission.objects.get(content_type__app_label="releases", codename="view_environment")
    for group in Group.objects.filter(name__in=["viewers", "release managers"]):
        group.permissions.add(see)


class Migration(migrations.Migration):
    dependencies = [("releases", "0003_environments")]
    operations = [
        migrations.RunSQL(REFUSE, ALLOW),
        migrations.RunPython(let_groups_see, migrations.RunPython.noop),
    ]
