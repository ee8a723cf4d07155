"""Tags by version, what annotated tags say, moves that are kept for good, the schedule of readings, rules for new tags."""

import django.db.models.deletion
import releases.models.rule
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

from releases.models.version import version_key


REFUSE = """
CREATE TRIGGER move_final BEFORE UPDATE ON releases_move
  FOR EACH ROW WHEN (OLD.acknowledged_at IS NOT NULL
    OR (OLD.application_id, OLD.full_name, OLD.name, OLD."before", OLD."after", OLD.noticed_at)
      IS DISTINCT FROM (NEW.application_id, NEW.full_name, NEW.name, NEW."before", NEW."after", NEW.noticed_at))
  EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER move_kept BEFORE DELETE ON releases_move FOR EACH ROW EXECUTE FUNCTION releases_refuse();
"""
ALLOW = """
DROP TRIGGER move_kept ON releases_move;
DROP TRIGGER move_final ON releases_move;
"""


def let_groups_see(apps, schema_editor):
    # Permissions are made after all migrations; the groups need this one now.
    config = apps.get_app_config("releases")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    see = Permission.objects.get(content_type__app_label="releases", codename="view_move")
    for group in Group.objects.filter(name__in=["viewers", "release managers"]):
        group.permissions.add(see)


def fill(apps, schema_editor):
    """What earlier readings knew: when they were good, which tags had moved, and which are versions."""
    Application, Ref, Move = (apps.get_model("releases", name) for name in ("Application", "Ref", "Move"))
    Application.objects.filter(refs_error="").update(refs_good_at=models.F("refs_read_at"))
    for ref in Ref.objects.filter(kind="tag").iterator():
        if ref.moved_at and ref.moved_from != ref.commit:
            Move.objects.create(
                application_id=ref.application_id, name=ref.name, full_name=ref.full_name,
                before=ref.moved_from, after=ref.commit, noticed_at=ref.moved_at,
            )
        if key := version_key(ref.name):
            Ref.objects.filter(pk=ref.pk).update(version=key)


class Migration(migrations.Migration):

    dependencies = [
        ('releases', '0008_promises_of_comparisons'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Move',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=255, verbose_name='tag')),
                ('full_name', models.CharField(max_length=275, verbose_name='full name')),
                ('before', models.CharField(max_length=40, verbose_name='commit before')),
                ('after', models.CharField(blank=True, help_text='Empty: the tag is gone.', max_length=40, verbose_name='commit after')),
                ('noticed_at', models.DateTimeField(verbose_name='noticed')),
                ('acknowledged_at', models.DateTimeField(blank=True, null=True, verbose_name='acknowledged')),
            ],
            options={
                'verbose_name': 'moved tag',
                'verbose_name_plural': 'moved tags',
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='application',
            name='refs_failed_since',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='refs unread since'),
        ),
        migrations.AddField(
            model_name='application',
            name='refs_failures',
            field=models.PositiveSmallIntegerField(default=0, editable=False, verbose_name='failed readings in a row'),
        ),
        migrations.AddField(
            model_name='application',
            name='refs_good_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='refs as of'),
        ),
        migrations.AddField(
            model_name='application',
            name='rule',
            field=models.CharField(blank=True, help_text='Patterns with commas, such as v*, !*-rc*: a new tag that matches is built by itself; ! leaves tags out. Tags that exist already and tags that move are not. Empty: never.', max_length=200, validators=[releases.models.rule.check_rule], verbose_name='build new tags that match'),
        ),
        migrations.AddField(
            model_name='application',
            name='rule_armed',
            field=models.BooleanField(default=False, editable=False, help_text='Since the tags that existed when it was set have been read.', verbose_name='rule in force'),
        ),
        migrations.AddField(
            model_name='application',
            name='rule_note',
            field=models.CharField(blank=True, editable=False, max_length=500, verbose_name='what the rule left'),
        ),
        migrations.AddField(
            model_name='application',
            name='rule_set_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='rule set'),
        ),
        migrations.AddField(
            model_name='build',
            name='rule',
            field=models.CharField(blank=True, max_length=200, verbose_name='asked by the rule'),
        ),
        migrations.AddField(
            model_name='ref',
            name='message',
            field=models.CharField(blank=True, max_length=200, verbose_name="first line of the tag's message"),
        ),
        migrations.AddField(
            model_name='ref',
            name='signature',
            field=models.CharField(blank=True, choices=[('openpgp', 'OpenPGP'), ('ssh', 'SSH'), ('x509', 'X.509')], max_length=10, verbose_name='signature'),
        ),
        migrations.AddField(
            model_name='ref',
            name='tagged_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='tagged'),
        ),
        migrations.AddField(
            model_name='ref',
            name='tagger',
            field=models.CharField(blank=True, max_length=200, verbose_name='tagger'),
        ),
        migrations.AddField(
            model_name='ref',
            name='version',
            field=models.CharField(blank=True, db_collation='C', editable=False, help_text='The key by which tags are sorted; empty for a name that is no version.', max_length=1000, verbose_name='as a version'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['-at', '-id'], name='event_by_time'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['application', '-at', '-id'], name='event_of_application'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['actor', '-at', '-id'], name='event_of_person'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['verb', '-at', '-id'], name='event_by_verb'),
        ),
        migrations.AddIndex(
            model_name='ref',
            index=models.Index(fields=['application', 'kind', '-version', '-committed_at', '-name'], name='ref_in_order'),
        ),
        migrations.AddConstraint(
            model_name='build',
            constraint=models.CheckConstraint(condition=models.Q(('rule', ''), ('requested_by', None), _connector='OR'), name='build_rule_is_nobody_else'),
        ),
        migrations.AddConstraint(
            model_name='ref',
            constraint=models.CheckConstraint(condition=models.Q(('signature__in', ['', 'openpgp', 'ssh', 'x509'])), name='ref_signature_is_known'),
        ),
        migrations.AddField(
            model_name='move',
            name='acknowledged_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='acknowledged by'),
        ),
        migrations.AddField(
            model_name='move',
            name='application',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='moves', to='releases.application', verbose_name='application'),
        ),
        migrations.AddIndex(
            model_name='move',
            index=models.Index(fields=['application', 'before'], name='move_by_commit'),
        ),
        migrations.AddIndex(
            model_name='move',
            index=models.Index(fields=['application', 'full_name', '-id'], name='move_of_tag'),
        ),
        migrations.AddIndex(
            model_name='move',
            index=models.Index(condition=models.Q(('acknowledged_at__isnull', True)), fields=['-id'], name='move_open'),
        ),
        migrations.AddConstraint(
            model_name='move',
            constraint=models.CheckConstraint(condition=models.Q(('before__regex', '^[0-9a-f]{40}$')), name='move_before_is_40_hex'),
        ),
        migrations.AddConstraint(
            model_name='move',
            constraint=models.CheckConstraint(condition=models.Q(('after', ''), ('after__regex', '^[0-9a-f]{40}$'), _connector='OR'), name='move_after_is_40_hex'),
        ),
        migrations.AddConstraint(
            model_name='move',
            constraint=models.CheckConstraint(condition=models.Q(('before', models.F('after')), _negated=True), name='move_goes_somewhere'),
        ),
        migrations.RunSQL(REFUSE, ALLOW),
        migrations.RunPython(let_groups_see, migrations.RunPython.noop),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
