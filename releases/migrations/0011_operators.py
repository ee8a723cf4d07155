"""What operators need: the line and its pauses, counts that are kept, what the sweeper saw, and their group."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

COUNT = """
INSERT INTO releases_tally (noun, label, bucket, count, seconds)
SELECT 'build', outcome, coalesce(1 + width_bucket(took, ARRAY[0.1,0.25,0.5,1,2.5,5,10,30,60,120,300,600,1800]::float8[]), 0),
       count(*), coalesce(sum(took), 0)
FROM (SELECT outcome, extract(epoch FROM finished_at - started_at)::float8 AS took
      FROM releases_build WHERE state = 'finished') ended
GROUP BY 1, 2, 3;
INSERT INTO releases_tally (noun, label, bucket, count, seconds)
SELECT 'step', name, 1 + width_bucket(seconds, ARRAY[0.1,0.25,0.5,1,2.5,5,10,30,60,120,300,600,1800]::float8[]),
       count(*), sum(seconds)
FROM releases_step WHERE seconds IS NOT NULL AND result <> 'skipped'
GROUP BY 1, 2, 3;
"""
REFUSE = """
CREATE TRIGGER pause_final BEFORE UPDATE OR DELETE ON releases_pause
  FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION releases_refuse();
"""
ALLOW = "DROP TRIGGER pause_final ON releases_pause;"


def make_group(apps, schema_editor):
    """Operators see what viewers see, and may pause the taking of builds; everybody sees pauses."""
    config = apps.get_app_config("releases")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    ours = Permission.objects.filter(content_type__app_label="releases")
    pauses = ours.get(codename="view_pause")
    for group in Group.objects.filter(name__in=["viewers", "release managers"]):
        group.permissions.add(pauses)
    see = Permission.objects.filter(group__name="viewers")  # a site may have removed that group
    Group.objects.get_or_create(name="operators")[0].permissions.set([*see, ours.get(codename="operate_workshop")])


class Migration(migrations.Migration):

    dependencies = [
        ('releases', '0010_search'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Pause',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('why', models.CharField(max_length=200, verbose_name='why')),
                ('begun_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='begun')),
                ('begun_by_name', models.CharField(blank=True, max_length=150, verbose_name='name then')),
                ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended')),
            ],
            options={
                'verbose_name': 'pause',
                'verbose_name_plural': 'pauses',
                'ordering': ['-id'],
                'permissions': [('operate_workshop', 'May pause the taking of builds, and end the pause')],
            },
        ),
        migrations.CreateModel(
            name='Tally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('noun', models.CharField(max_length=10, verbose_name='of what')),
                ('label', models.CharField(max_length=20, verbose_name='which')),
                ('bucket', models.PositiveSmallIntegerField(help_text='0 without a time; else the place of its bound, or one more than there are bounds.', verbose_name='span')),
                ('count', models.PositiveBigIntegerField(default=0, verbose_name='how many')),
                ('seconds', models.FloatField(default=0.0, verbose_name='seconds in all')),
            ],
            options={
                'verbose_name': 'tally',
                'verbose_name_plural': 'tallies',
                'ordering': ['noun', 'label', 'bucket'],
            },
        ),
        migrations.AddField(
            model_name='build',
            name='turn',
            field=models.PositiveIntegerField(default=2000000, verbose_name='turn'),
        ),
        migrations.AddField(
            model_name='step',
            name='exit_code',
            field=models.PositiveSmallIntegerField(blank=True, help_text='Of the container that did the step; none for a step without one, or one that was stopped.', null=True, verbose_name='exit code'),
        ),
        migrations.AddField(
            model_name='workshop',
            name='holds',
            field=models.JSONField(blank=True, default=dict, help_text='How many images the engine has, and the like.', verbose_name='what is kept'),
        ),
        migrations.AddField(
            model_name='workshop',
            name='mended',
            field=models.JSONField(blank=True, default=dict, help_text='How many of what, in the last round with any.', verbose_name='what was mended last'),
        ),
        migrations.AddField(
            model_name='workshop',
            name='mended_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='mended last'),
        ),
        migrations.AddField(
            model_name='workshop',
            name='places',
            field=models.JSONField(blank=True, default=list, help_text='Each disk in use: what lies there, free bytes, all bytes.', verbose_name='places'),
        ),
        migrations.AddField(
            model_name='workshop',
            name='round_seconds',
            field=models.FloatField(blank=True, null=True, verbose_name='seconds of the last round'),
        ),
        migrations.AddIndex(
            model_name='build',
            index=models.Index(condition=models.Q(('state', 'finished')), fields=['worker', 'id'], name='build_of_worker'),
        ),
        migrations.AddIndex(
            model_name='build',
            index=models.Index(fields=['finished_at'], include=('application', 'outcome'), name='build_ended'),
        ),
        migrations.AddField(
            model_name='pause',
            name='begun_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='begun by'),
        ),
        migrations.AddConstraint(
            model_name='tally',
            constraint=models.UniqueConstraint(fields=('noun', 'label', 'bucket'), name='tally_once'),
        ),
        migrations.AddConstraint(
            model_name='pause',
            constraint=models.UniqueConstraint(models.ExpressionWrapper(models.Q(('ended_at__isnull', True)), models.BooleanField()), condition=models.Q(('ended_at__isnull', True)), name='pause_one_at_once'),
        ),
        migrations.AddConstraint(
            model_name='pause',
            constraint=models.CheckConstraint(condition=models.Q(('why', ''), _negated=True), name='pause_says_why'),
        ),
        migrations.AddConstraint(
            model_name='pause',
            constraint=models.CheckConstraint(condition=models.Q(('ended_at__isnull', True), ('ended_at__gte', models.F('begun_at')), _connector='OR'), name='pause_ends_after_begin'),
        ),
        migrations.RunSQL(REFUSE, ALLOW),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
        migrations.RunPython(make_group, migrations.RunPython.noop),
    ]
