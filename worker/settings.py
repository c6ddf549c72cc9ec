"""The definition of all settings: name, meaning, default, and which values are valid. Contract section 9.

The class is the definition; docs/reference/settings.md and `stockfreeze run --help` come from it.
`worker/configuration.py` loads the values.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from schemas.topics import LEDGER, RoleTopics
from worker.domain.policies import AccountPolicies, CountOrigin, CountPolicy, Policies
from worker.stream.config import EngineConfig

ENVIRONMENT_PREFIX = "STOCKFREEZE_"
PORT_MAX = 65_535
ID_CHARACTERS_MAX = 128

_SERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_URL = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%-]+)*/?")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class SettingsError(Exception):
    """A setting is wrong, unknown or does not fit another one. The text is one sentence that names the setting."""


def _refuse_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("boolean", "Input should be a whole number")
    return value


def _check_servers(value: str) -> str:
    for server in value.split(","):
        match = _SERVER.fullmatch(server.strip())
        if match is None or not 1 <= int(match[1]) <= PORT_MAX:
            raise PydanticCustomError("servers", "Input should be host:port, or several of them separated by commas")
    return ",".join(server.strip() for server in value.split(","))


def _check_id(value: str) -> str:
    if not 1 <= len(value) <= ID_CHARACTERS_MAX or _CONTROL.search(value):
        raise PydanticCustomError("id", "Input should be 1 to 128 characters, none of them a control character")
    return value


def _check_url(value: str) -> str:
    if _URL.fullmatch(value) is None:
        raise PydanticCustomError("url", "Input should be an address such as http://worker-1:6066")
    return value.rstrip("/")


def _check_file(value: Path) -> Path:
    if not value.is_file():
        raise PydanticCustomError("file", "Input should be the path of a file that exists")
    return value


_DEFAULTS = AccountPolicies()
_POLICY_NAMES = ", ".join(f"`{field.name}`" for field in fields(AccountPolicies))

RoleName = Literal["ledger"]
ROLE_NAMES: Final[tuple[RoleName, ...]] = get_args(RoleName)
NAME_ROLES: Final = f"name roles that there are ({', '.join(ROLE_NAMES)}), separated by commas"


def _split_roles(value: object) -> object:
    """Take a comma list apart. A role that is named twice runs once."""
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    names = tuple(dict.fromkeys(value)) if isinstance(value, list | tuple) else ()
    if not names or any(name not in ROLE_NAMES for name in names):
        raise PydanticCustomError("roles", "Input should {roles}", {"roles": NAME_ROLES})
    return names


Roles = Annotated[tuple[RoleName, ...], BeforeValidator(_split_roles), PlainSerializer(",".join, when_used="json")]
Integer = Annotated[int, BeforeValidator(_refuse_boolean)]
Id = Annotated[str, AfterValidator(_check_id)]
ExistingFile = Annotated[Path, AfterValidator(_check_file)]
KafkaName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", max_length=200)]
Buffer = Annotated[Integer, Field(ge=0, le=1_000_000_000)]
RetentionDays = Annotated[Integer, Field(ge=1, le=36_500)]


class KafkaAndWebSettings(BaseModel):
    """How the worker reaches Kafka, and how its pages are reached."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)

    bootstrap_servers: Annotated[str, AfterValidator(_check_servers)] = Field(
        "127.0.0.1:9092", description="Kafka brokers to connect to first, `host:port`, separated by commas."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to connect to the brokers: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="How to log in, with SASL: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`."
    )
    sasl_username: str | None = Field(None, min_length=1, description="User name to log in with.")
    sasl_password: SecretStr | None = Field(None, min_length=1, description="Password to log in with. Never printed.")
    ssl_cafile: ExistingFile | None = Field(
        None, description="PEM file with the authorities to trust; without one, those of the system."
    )
    ssl_certfile: ExistingFile | None = Field(None, description="PEM file with the client's certificate.")
    ssl_keyfile: ExistingFile | None = Field(None, description="PEM file with the key of the client's certificate.")
    ssl_key_password: SecretStr | None = Field(None, description="Password of the client's key. Never printed.")
    ssl_check_hostname: bool = Field(
        default=True, description="Whether a broker's certificate must name the host that the worker connects to."
    )
    app_id: Annotated[KafkaName, Field(min_length=1)] = Field(
        "stockfreeze",
        description="Consumer group, and prefix of transactional ids: the same for all workers of a system, and of no "
        "other program.",
    )
    group_instance_id: Annotated[KafkaName, Field(min_length=1)] | None = Field(
        None,
        description="Static membership: a unique name of this worker, the same after a restart (a StatefulSet pod's).",
    )
    roles: Roles = Field(
        ("ledger",), description="What the worker does, separated by commas; today there is `ledger` alone."
    )
    topic_prefix: KafkaName = Field("", description="Text before each topic's name.")
    partitions: Annotated[Integer, Field(ge=1, le=10_000)] = Field(
        8, description="Partitions of every topic, for `topics create`. Cannot be changed later."
    )
    replication_factor: Annotated[Integer, Field(ge=1, le=100)] = Field(
        1, description="Copies of every partition, for `topics create`; 3 where a broker may be lost."
    )
    web_host: str = Field(
        "127.0.0.1", min_length=1, description="Address that the pages, health and metrics listen on."
    )
    web_port: Annotated[Integer, Field(ge=0, le=PORT_MAX)] = Field(
        6066, description="Port of the pages; 0: any free one, which the log names."
    )
    web_url: Annotated[str, Field(max_length=500), AfterValidator(_check_url)] | None = Field(
        None,
        description="How commands and other workers reach the pages, such as `http://worker-1:6066`; without it, at "
        "`WEB_HOST` and `WEB_PORT`, and where they listen on all addresses, at the one that Kafka sees.",
    )


class PolicySettings(BaseModel):
    """The policies: set for all accounts, and in a table `[accounts."ID"]` of the file for one.

    This is the one place where a setting per account is declared, with the fields of the domain's `AccountPolicies`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    buffer: Buffer = Field(
        _DEFAULTS.buffer, description="Units of each SKU and warehouse held back from `publishable`."
    )
    default_warehouse: Id = Field(_DEFAULTS.default_warehouse, description="Warehouse of an order line without one.")
    count_policy: CountPolicy = Field(
        _DEFAULTS.count_policy,
        description="`adopt`: each newer count becomes the base; `report`: only the first one, and later ones are "
        "compared with it.",
    )
    count_origin: CountOrigin = Field(
        _DEFAULTS.count_origin, description="Whose counts may become the base: `erp`, `wms`, or `any` of both."
    )
    retention_days: RetentionDays = Field(
        _DEFAULTS.retention_days, description="Days that a finished order is kept for late events."
    )


class Settings(PolicySettings, KafkaAndWebSettings):
    """All settings, checked. `load_settings` makes them from file and environment; the class itself reads neither."""

    breaker_bad_max: Annotated[Integer, Field(ge=0, le=1_000_000)] = Field(
        500,
        description="A partition stops when so many of its last `BREAKER_WINDOW` records were dead letters, unless all "
        "are of one account among several; 0: never.",
    )
    breaker_window: Annotated[Integer, Field(ge=1, le=1_000_000)] = Field(
        1000, description="Last records of a partition that `BREAKER_BAD_MAX` applies to."
    )
    session_timeout_ms: Annotated[Integer, Field(ge=3000, le=300_000)] = Field(
        6000, description="Milliseconds of silence after which the group gives a worker's partitions to others."
    )
    stall_ms: Annotated[Integer, Field(ge=1000, le=3_600_000)] = Field(
        15_000, description="Milliseconds that a partition may stand still with lag before the worker is not ready."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`json` lines, readable `console` lines, or `auto`: `console` on a terminal, else `json`."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe message in the log: `debug`, `info`, `warning` or `error`."
    )
    accounts: dict[Id, PolicySettings] = Field(
        default_factory=dict,
        description=f'Only in the file: tables `[accounts."ID"]` with {_POLICY_NAMES} of one account.',
    )

    @model_validator(mode="after")
    def _check_fit(self) -> Settings:
        login = self.security_protocol.startswith("SASL_")
        encrypted = self.security_protocol.endswith("SSL")
        if login and (self.sasl_username is None or self.sasl_password is None):
            missing = "SASL_USERNAME" if self.sasl_username is None else "SASL_PASSWORD"
            raise SettingsError(f"setting {missing} is needed, as SECURITY_PROTOCOL is {self.security_protocol}")
        for name in sorted(self.model_fields_set):
            if name.startswith("sasl_") and not login:
                raise SettingsError(f"setting {name.upper()} needs SECURITY_PROTOCOL to be SASL_PLAINTEXT or SASL_SSL")
            if name.startswith("ssl_") and not encrypted:
                raise SettingsError(f"setting {name.upper()} needs SECURITY_PROTOCOL to be SSL or SASL_SSL")
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise SettingsError("setting SSL_CERTFILE is needed, as SSL_KEYFILE is set")
        if self.breaker_bad_max > self.breaker_window:
            raise SettingsError(f"setting BREAKER_BAD_MAX must be at most BREAKER_WINDOW, {self.breaker_window}")
        return self

    def client_options(self) -> dict[str, object]:
        """Make the arguments of an aiokafka client. Raises SettingsError where certificates cannot be loaded."""
        options: dict[str, object] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL_") and self.sasl_password is not None:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.get_secret_value()
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        return options

    def policies(self) -> Policies:
        """Make the policies of every account, as the domain takes them."""
        defaults = AccountPolicies(**self.model_dump(include=set(PolicySettings.model_fields)))
        return Policies(
            defaults=defaults,
            accounts={
                account_id: replace(defaults, **own.model_dump(exclude_unset=True))
                for account_id, own in self.accounts.items()
            },
        )

    def engine_config(self, topics: RoleTopics[str] = LEDGER, *, member_data: bytes = b"") -> EngineConfig:
        """Make the settings of a role's engine: what is set here, and its own defaults for the rest.

        `member_data` is what the worker joins the role's group with.
        """
        return EngineConfig(
            name=topics.role,
            app_id=self.group_id(topics.role),
            client=self.client_options(),
            inputs=tuple(map(self.topic, topics.inputs)),
            outputs=tuple(map(self.topic, topics.outputs)),
            journal_topic=self.topic(topics.journal),
            state_topic=self.topic(topics.state),
            group_instance_id=self.group_instance_id,
            member_data=member_data,
            breaker_bad_max=self.breaker_bad_max,
            breaker_window=self.breaker_window,
            session_timeout_ms=self.session_timeout_ms,
            stall_ms=self.stall_ms,
        )

    def with_roles(self, roles: str) -> Settings:
        """Make the same settings with other roles, a comma list. Raises SettingsError for a role that there is not."""
        try:
            return self.model_copy(update={"roles": _split_roles(roles)})
        except PydanticCustomError as error:
            raise SettingsError(f"option --roles must {NAME_ROLES}, not {roles!r}") from error

    def group_id(self, role: str) -> str:
        """Return the consumer group of a role: `APP_ID` for the ledger, `APP_ID-role` for any other."""
        return self.app_id if role == LEDGER.role else f"{self.app_id}-{role}"

    def topic(self, topic: str) -> str:
        """Return the full name of a topic: prefix and name."""
        return f"{self.topic_prefix}{topic}"

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"setting SSL_CAFILE: {self.ssl_cafile} is not a PEM file with certificates ({error})"
            ) from error
        context.check_hostname = self.ssl_check_hostname
        if self.ssl_certfile is not None:
            password = None if self.ssl_key_password is None else self.ssl_key_password.get_secret_value()
            try:
                # An empty password rather than none: without one, OpenSSL would ask for it on the terminal.
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password or "")
            except (OSError, ssl.SSLError) as error:
                raise SettingsError(
                    f"settings SSL_CERTFILE, SSL_KEYFILE: certificate and key cannot be loaded ({error})"
                ) from error
        return context


class SettingRow(NamedTuple):
    """A setting as a row of a table: its environment variable, its default and its meaning.

    The key in the file is the name without the prefix, in lower case.
    """

    name: str
    default: str
    description: str


def settings_table() -> list[SettingRow]:
    """List all settings in the order of their definition, for `stockfreeze run --help`."""
    return [_row(name, field) for name, field in Settings.model_fields.items()]


def _row(name: str, field: FieldInfo) -> SettingRow:
    in_file_only = name == "accounts"
    shown = '[accounts."ID"]' if in_file_only else f"{ENVIRONMENT_PREFIX}{name.upper()}"
    default = "" if in_file_only or field.default is None else field.default
    shown_default = ",".join(default) if isinstance(default, tuple) else str(default)
    return SettingRow(shown, shown_default, field.description or "")
