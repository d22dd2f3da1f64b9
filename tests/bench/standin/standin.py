"""A minimal Django + oauthlib service with three requests; see README.md. It is not MAAS."""

import json
import os
import urllib.parse

import django
from django.conf import settings



def database(address):
    """A SQLite file, or `postgresql://user@/name?host=folder of its socket`."""
    if not address.startswith("postgresql:"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": address, "CONN_MAX_AGE": None,
                "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"}}
    parts = urllib.parse.urlsplit(address)
    return {"ENGINE": "django.db.backends.postgresql", "NAME": parts.path.strip("/"),
            "USER": parts.username, "HOST": urllib.parse.parse_qs(parts.query)["host"][0],
            "CONN_MAX_AGE": None}


settings.configure(
    DEBUG=False,
    SECRET_KEY="for benches only",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[],
    INSTALLED_APPS=[],
    DATABASES={"default": database(os.environ["STANDIN_DB"])},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.db import connection, models, transaction  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from oauthlib.oauth1 import RequestValidator, ResourceEndpoint  # noqa: E402


class Machine(models.Model):
    system_id = models.CharField(max_length=8, unique=True)
    hostname = models.CharField(max_length=64)
    owner = models.CharField(max_length=64, null=True)
    status = models.IntegerField(default=4)
    facts = models.JSONField(default=dict)

    class Meta:
        app_label = "standin"


class Interface(models.Model):
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="interfaces")
    facts = models.JSONField(default=dict)

    class Meta:
        app_label = "standin"


class Disk(models.Model):
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="disks")
    facts = models.JSONField(default=dict)

    class Meta:
        app_label = "standin"


class Token(models.Model):
    consumer = models.CharField(max_length=18)
    key = models.CharField(max_length=18, unique=True)
    secret = models.CharField(max_length=32)
    machine = models.ForeignKey(Machine, null=True, on_delete=models.CASCADE)

    class Meta:
        app_label = "standin"


class Event(models.Model):
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE)
    name = models.CharField(max_length=255)
    description = models.TextField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "standin"


class Validator(RequestValidator):
    enforce_ssl = False
    allowed_signature_methods = ("PLAINTEXT",)
    client_key_length = access_token_length = (8, 64)
    nonce_length = (4, 64)
    dummy_client = dummy_access_token = "x" * 18

    def validate_timestamp_and_nonce(self, *_args, **_kwargs):
        return True

    def token(self, request, key):
        if not hasattr(request, "found"):
            request.found = Token.objects.select_related("machine").filter(key=key).first()
        return request.found

    def validate_client_key(self, client_key, request):
        found = self.token(request, request.resource_owner_key)
        return found is not None and found.consumer == client_key

    def validate_access_token(self, client_key, token, request):
        return self.token(request, token) is not None

    def validate_realms(self, *_args, **_kwargs):
        return True

    def get_client_secret(self, client_key, request):
        return ""

    def get_access_token_secret(self, client_key, token, request):
        found = self.token(request, token)
        return found.secret if found else "x"

    def get_default_realms(self, *_args):
        return []


ENDPOINT = ResourceEndpoint(Validator())


def caller(request):
    valid, signed = ENDPOINT.validate_protected_resource_request(
        request.build_absolute_uri(),
        http_method=request.method,
        headers={"Authorization": request.headers.get("Authorization", "")},
        realms=[],
    )
    return signed.found if valid else None


def instance_id(request):
    token = caller(request)
    if token is None or token.machine is None:
        return HttpResponse("Unauthorized", status=401)
    return HttpResponse(token.machine.system_id, content_type="text/plain")


def status(request, system_id):
    token = caller(request)
    if token is None or token.machine is None:
        return HttpResponse("Unauthorized", status=401)
    message = json.loads(request.body)
    with transaction.atomic():
        machine = Machine.objects.get(system_id=system_id)
        Event.objects.create(
            machine=machine, name=message["name"], description=message["description"]
        )
    return HttpResponse(status=204)


def machines(request):
    if caller(request) is None:
        return HttpResponse("Unauthorized", status=401)
    shown = []
    for machine in Machine.objects.prefetch_related("interfaces", "disks").order_by("id"):
        view = dict(machine.facts)
        view.update(
            system_id=machine.system_id, hostname=machine.hostname, owner=machine.owner,
            status=machine.status,
        )
        view["interface_set"] = [one.facts for one in machine.interfaces.all()]
        view["boot_interface"] = view["interface_set"][0]
        disks = [one.facts for one in machine.disks.all()]
        view["blockdevice_set"] = view["physicalblockdevice_set"] = disks
        view["boot_disk"] = disks[0]
        shown.append(view)
    return HttpResponse(json.dumps(shown), content_type="application/json")


urlpatterns = [
    path("MAAS/metadata/2012-03-01/meta-data/instance-id", instance_id),
    path("MAAS/metadata/status/<str:system_id>", status),
    path("MAAS/api/2.0/machines/", machines),
]


def fill(views, keys):
    """Makes the tables and puts the machines in; `keys` maps a system id, or "", to a key."""
    with connection.schema_editor() as editor:
        for model in (Machine, Interface, Disk, Token, Event):
            editor.create_model(model)
    with transaction.atomic():
        for view in views:
            interfaces, disks = view.pop("interface_set"), view.pop("physicalblockdevice_set")
            for name in ("blockdevice_set", "boot_interface", "boot_disk"):
                view.pop(name)
            machine = Machine.objects.create(
                system_id=view.pop("system_id"), hostname=view.pop("hostname"),
                owner=view.pop("owner"), status=view.pop("status"), facts=view,
            )
            Interface.objects.bulk_create(Interface(machine=machine, facts=f) for f in interfaces)
            Disk.objects.bulk_create(Disk(machine=machine, facts=f) for f in disks)
            if machine.system_id in keys:
                token(keys[machine.system_id], machine)
    token(keys[""], None)


def grow(count):
    """Copies the machines with all their rows until there are so many."""
    have = list(Machine.objects.prefetch_related("interfaces", "disks").order_by("id"))
    with transaction.atomic():
        for number in range(len(have), count):
            old = have[number % len(have)]
            machine = Machine.objects.create(
                system_id=f"x{number:07}", hostname=f"{old.hostname}-{number}", owner=old.owner,
                status=old.status, facts=old.facts,
            )
            for model, rows in ((Interface, old.interfaces), (Disk, old.disks)):
                model.objects.bulk_create(model(machine=machine, facts=r.facts) for r in rows.all())


def token(key, machine):
    consumer, word, secret = key.split(":")
    Token.objects.create(consumer=consumer, key=word, secret=secret, machine=machine)


from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
