# Tokens of services that enqueue over HTTP.

import django_jobs.models.base
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('django_jobs', '0006_idempotency'),
    ]

    operations = [
        migrations.CreateModel(
            name='Token',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('key', django_jobs.models.base.NameField(max_length=12, unique=True)),
                ('secret_hash', models.CharField(max_length=64)),
                ('job_names', models.JSONField(default=list)),
                ('created_at', models.DateTimeField()),
                ('created_by', models.CharField(default='', max_length=150)),
                ('last_used_at', models.DateTimeField(null=True)),
                ('revoked_at', models.DateTimeField(null=True)),
                ('revoked_by', models.CharField(default='', max_length=150)),
            ],
            options={
                'verbose_name': 'token',
                'verbose_name_plural': 'tokens',
                'permissions': [('revoke_token', 'Can revoke tokens')],
                'default_permissions': ('add', 'view'),
            },
        ),
    ]
