"""What was read of two commits is final, and both groups may see it."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

REFUSE = """
CREATE TRIGGER comparison_final BEFORE UPDATE OR DELETE ON releases_comparison
  FOR EACH ROW WHEN (OLD.read_at IS NOT NULL) EXECUTE FUNCTION releases_refuse();
"""
ALLOW = "DROP TRIGGER comparison_final ON releases_comparison;"


def let_groups_see(apps, schema_editor):
    # Permissions are made after all migrations; the groups need this one now.
    config = apps.get_app_config("releases")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    see = Permission.objects.get(content_type__app_label="releases", codename="view_comparison")
    for group in Group.objects.filter(name__in=["viewers", "release managers"]):
        group.permissions.add(see)


class Migration(migrations.Migration):
    dependencies = [("releases", "0007_comparisons")]
    operations = [
        migrations.RunSQL(REFUSE, ALLOW),
        migrations.RunPython(let_groups_see, migrations.RunPython.noop),
    ]
