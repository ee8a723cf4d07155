"""What is wrong with the cage of builds, as the sweeper last saw it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("releases", "0023_sentences_of_rules")]

    operations = [
        migrations.AddField(
            model_name="workshop",
            name="cage_problem",
            field=models.CharField(blank=True, max_length=1000, verbose_name="why the network of builds is open"),
        ),
        migrations.AddField(
            model_name="workshop",
            name="cage_problem_said",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="workshop",
            name="runtime_problem",
            field=models.CharField(
                blank=True, max_length=1000, verbose_name="what is wrong with the runtime of builds"
            ),
        ),
        migrations.AddField(
            model_name="workshop",
            name="runtime_problem_said",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
