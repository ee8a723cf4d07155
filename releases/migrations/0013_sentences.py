"""Beside each sentence that a row keeps in English, what it was made of: so it can be said in other languages."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('releases', '0012_budgets'),
    ]

    operations = [
        migrations.AddField(
            model_name='application',
            name='refs_error_said',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='build',
            name='environment_note_said',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='build',
            name='message_said',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='build',
            name='probe_message_said',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='preparation',
            name='message_said',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='preview',
            name='message_said',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='step',
            name='detail_said',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='workshop',
            name='engine_problem_said',
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
