"""Every setting, its default, and why. Environment variables begin with REWARDS_."""

from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="REWARDS_", frozen=True, extra="ignore")

    # Where the embedded database, the master key and sandbox.json live.
    home: Path = Path("var")
    # Any PostgreSQL 15+; empty starts the embedded one under `home`.
    database_url: SecretStr = SecretStr("")
    # A role that owns the schema, for migrations; empty uses database_url.
    owner_database_url: SecretStr = SecretStr("")
    # Shared rate limits for several API processes; empty counts in memory.
    redis_url: SecretStr = SecretStr("")

    # 32 random bytes, base64. The file is made (0600) when neither is given and `home` is new.
    master_key: SecretStr = SecretStr("")
    master_key_file: Path | None = None

    # Where end users and clients reach us; claim links begin with it.
    public_url: str = "http://127.0.0.1:8000"
    # An unclaimed link ends after so many days, or with its voucher if that is sooner; then its
    # value goes back to the wallet.
    claim_days: int = 365
    # test or live: part of every API key, so that one is never mistaken for the other.
    environment: str = "live"
    # Ids of a deployment start at cell * 10**12, so that cells can be told apart later.
    cell: int = 0
    # Addresses of proxies whose X-Forwarded-For is believed.
    trusted_proxies: tuple[str, ...] = ()

    # Staff. `required`: who has no second factor can do nothing but set one up.
    staff_second_factor: Literal["optional", "required"] = "optional"
    # How long a password or code counts for what hands out secrets or changes who may come in;
    # after that it is asked for again. 0: never again after the login.
    staff_proof_minutes: int = Field(default=10, ge=0, le=600)
    # A session that nobody used for so long is over; each is after ten hours.
    staff_idle_minutes: int = Field(default=60, ge=1, le=600)

    # Tiers (D1). Up to so many vouchers an order is served in its request,
    request_quantity_max: int = 10
    # and up to so many at once by a worker; more are filled at the first retry.
    filled_quantity_max: int = 50
    # Open bulk units of one client above which a bulk order is cancelled at its first retry.
    bulk_units_max: int = 10_000

    # Pricing (D11): used where neither a client nor a vendor discount is set.
    default_discount_percent: Decimal = Decimal(2)

    # Exchange rates. On top of a rate, against the client, where its source names no spread.
    fx_spread_percent: Decimal = Decimal(0)
    # One that differs by more from the rate in force waits for a person.
    fx_jump_percent_max: Decimal = Decimal(10)
    # An older one refuses orders that need it; 0: never. A feed of central banks pauses for four
    # days at Easter, a file is somebody's weekly duty, and what a person set outlives a holiday.
    fx_provider_hours_max: int = 120
    fx_file_hours_max: int = 8 * 24
    fx_staff_hours_max: int = 30 * 24
    # Asked by a worker for JSON rates; it may carry a key. Empty: nobody is asked.
    fx_provider_url: SecretStr = SecretStr("")
    # What an order says of whose rate it was; empty: the host of the URL.
    fx_provider_name: str = ""
    # How often it is asked.
    fx_provider_every_s: int = 3_600

    # The seeds' name, on purpose a negative: true (the default) means nothing retries by itself.
    disable_auto_order_retry: bool = True
    # The sandbox vendor mints realtime products' codes on a miss; only `rewards sandbox` sets it.
    sandbox: bool = False

    # Vendors on this machine may be called without TLS: simulators. `rewards sandbox` sets it.
    vendor_loopback: bool = False
    # One call to a vendor; one that has not answered by then is read back, never repeated.
    vendor_timeout_s: float = 15.0
    # Until the connection for it stands.
    vendor_connect_s: float = 5.0
    # What one person may have vendors deliver within 24 hours for one client, or into our own
    # stock, by face value; more takes a second. As much is bought for a client in 24 hours without
    # a person, where a product's flag says so; more waits for one.
    vendor_approval_limit_minor: int = 100_000
    # The limit's currency; what comes in another counts at its rate.
    vendor_approval_currency: str = "USD"
    # What one person may move on the wallets of one client within 24 hours: top-ups, adjustments,
    # refunds of what was delivered, and by how much credit limits rise. More takes a second; 0:
    # everything.
    money_approval_limit_minor: int = 1_000_000
    # The limit's currency; what comes in another counts at its rate.
    money_approval_currency: str = "USD"
    # How long an unknown or slow vendor order is read back before it is a person's case.
    reprocess_window_hours: int = 24

    # Webhooks may go to this machine and to private networks, without TLS. `rewards sandbox` sets
    # it; in production only where all clients are services of one's own network.
    webhook_local: bool = False

    # A request for events waits no longer than this, whatever it asks: proxies lose patience.
    event_wait_max_s: float = 30.0

    # How long clients can look up what they asked of the API.
    request_log_days: int = Field(default=7, ge=1, le=14)

    # A stock file that staff upload; about four million rows.
    import_bytes_max: int = 512 * 1024 * 1024

    # Order desk: orders that are placed in one transaction,
    desk_batch_max: int = 64
    # such transactions at once in one process,
    desk_batches_in_flight: int = 2
    # and requests that may wait for one; more are told to come back.
    desk_queue_max: int = 2_000

    # The relay that takes our mail; without one nothing is mailed, and notices say so.
    mail_host: str = ""
    # Where it listens.
    mail_port: int = 587
    # STARTTLS (required, never fallen back from), TLS from the first byte, or NONE.
    mail_tls: Literal["STARTTLS", "TLS", "NONE"] = "STARTTLS"
    # Of an authority of one's own that signed the relay's certificate; empty: the system's.
    mail_ca_file: Path | None = None
    # Our account with the relay; empty: none.
    mail_username: str = ""
    # Its password.
    mail_password: SecretStr = SecretStr("")
    # Envelope sender, where bounces go; also the From of clients that have none of their own.
    mail_from: str = "notices@localhost"
    # The name beside it.
    mail_from_name: str = "Starship Rewards"
    # Until the connection to the relay stands.
    mail_connect_s: float = 10.0
    # One mail's dialogue, from MAIL to the answer to its last byte.
    mail_timeout_s: float = 45.0
    # Mails that one worker sends at once, each over a connection of its own.
    mail_connections: int = 4

    # Who may read `/metrics` where the API listens: these networks (such as ["10.1.0.0/16"]), and
    # whoever shows the token. Without either it is not there: that port may be the public's.
    metrics_networks: tuple[str, ...] = ()
    metrics_token: SecretStr = SecretStr("")
    # A port of each process' own that tells its figures, for workers and for processes behind one
    # balancer; 0: none. Besides the above, this machine may read there.
    metrics_port: int = 0
    metrics_host: str = "127.0.0.1"

    # Alerts to staff (docs/operations/monitoring.md). By mail through the relay above, each address
    # for itself; by webhook, signed with the secret (whsec_…). Nobody is told where neither is set;
    # alerts are listed all the same.
    alert_mail_to: tuple[str, ...] = ()
    alert_webhook_url: SecretStr = SecretStr("")
    alert_webhook_secret: SecretStr = SecretStr("")
    # An alert is raised at its limit, and cleared when that is left behind by so much: else one
    # that wavers would be told of again and again.
    alert_slack_percent: int = 20
    # Orders that wait for staff, a pump or a vendor; and such that a worker should fill at once.
    alert_order_waiting_hours: int = 24
    alert_order_processing_minutes: int = 15
    # Stock of a shelf, and balance with a vendor, as days of what was sold or bought lately.
    alert_pool_cover_days: int = 2
    alert_vendor_cover_days: int = 3
    # Besides, the least to be left at any vendor by currency, in its units: {"USD": 500}.
    alert_vendor_balance_min: dict[str, Decimal] = {}
    alert_endpoint_failing_hours: int = 1
    # A process that says nothing for so long is taken for dead.
    alert_worker_silent_s: float = 60.0
    alert_job_late_s: int = 300
    alert_sealing_behind_s: int = 60
    # Of all that a data key may seal; and its age, and that of secrets that sign. 0: never.
    alert_key_used_percent: int = 50
    alert_key_age_days: int = 365
    alert_secret_age_days: int = 730

    # Connections to the database that one process holds.
    pool_size: int = 8
    # A statement that takes longer is given up,
    statement_timeout_s: float = 10.0
    # and one that waits longer for somebody else's lock.
    lock_timeout_s: float = 3.0

    # A killed worker's jobs run elsewhere within this, and a sixth of it.
    job_lease_s: float = 30.0


@lru_cache
def from_environment() -> Settings:
    return Settings()
