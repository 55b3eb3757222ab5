"""What the invented shop sells, and what its project defines: its kinds of messages and what starts them."""

from typing import NamedTuple

import msgspec

from clarion.demo.services import Services
from clarion.model import (
    Action,
    Automation,
    Category,
    CategoryClass,
    Channel,
    Content,
    Entry,
    Message,
    Project,
    ProjectSettings,
    Template,
    Urgency,
)

PROJECT_ID = "demo"
PROJECT_NAME = "Fjord & Fern"
SETTINGS = ProjectSettings(allow_plain_users=True)
"""Anyone may be any visitor: right for a demo, wrong for a shop."""

ORDER_PLACED = "order_placed"
SIGNED_IN = "signed_in_from_afar"
OFFER_WISHED = "offer_wished"


class Product(NamedTuple):
    """Something on the shelf. `price` in whole euros."""

    code: str
    name: str
    price: int
    words: str


PRODUCTS = (
    Product("kettle", "Skerry kettle", 64, "Enamelled steel, a beech grip and a patient whistle."),
    Product("mug", "Tide mug", 18, "Stoneware, dipped in the colour of high water."),
    Product("fern", "Fern in clay", 24, "Asks for shade, gives you company."),
    Product("throw", "Lichen throw", 89, "Wool from an island with more sheep than doors."),
    Product("lamp", "Midnight-sun lamp", 112, "For the months when the real one is away."),
    Product("candle", "Driftwood candles", 16, "Three lights and a piece of last winter's storm."),
)

CATEGORIES = (
    Category(
        name="orders",
        title="My orders",
        description="When something you ordered is on its way.",
        class_=CategoryClass.INFORMATIONAL,
        channels=[Channel.PUSH],
    ),
    Category(
        name="security",
        title="Security",
        description="When somebody signs in from a new place.",
        class_=CategoryClass.MANDATORY,
        channels=[Channel.PUSH],
    ),
    Category(
        name="offers",
        title="Offers",
        description="Now and then, something new on the shelf.",
        class_=CategoryClass.MARKETING,
        channels=[Channel.PUSH],
    ),
    Category(
        name="general",
        title="Everything else",
        description="Notes that fit nowhere else.",
        channels=[Channel.PUSH],
    ),
)

TEMPLATES = (
    Template(
        name="order_shipped",
        locales={
            "en": Content(title="Your order is on its way", body="{{ event.product }} left our harbour today."),
            "de": Content(
                title="Deine Bestellung ist unterwegs", body="{{ event.product }} hat heute unseren Hafen verlassen."
            ),
            "fr": Content(
                title="Votre commande est en route", body="{{ event.product }} a quitté notre port aujourd'hui."
            ),
            "es": Content(
                title="Tu pedido está en camino", body="{{ event.product }} ha salido hoy de nuestro puerto."
            ),
            "nb": Content(title="Bestillingen er på vei", body="{{ event.product }} forlot havnen vår i dag."),
        },
    ),
    Template(
        name="new_sign_in",
        locales={
            "en": Content(title="New sign-in from {{ event.place }}", body="Was it you? If not, change your password."),
            "de": Content(
                title="Neue Anmeldung aus {{ event.place }}",
                body="Warst du das? Wenn nicht, ändere dein Passwort.",
            ),
        },
    ),
    Template(
        name="offer",
        locales={
            "en": Content(title="Evenings are getting longer", body="The midnight-sun lamp is 20 % off until Sunday."),
            "de": Content(title="Die Abende werden länger", body="Bis Sonntag 20 % auf die Mitternachtssonnenlampe."),
        },
    ),
)


def automations(server_url: str) -> tuple[Automation, ...]:
    """What the shop's events start; links lead to the shop at `server_url`."""
    assets = f"{server_url}/shop/assets"
    look = Message(icon=f"{assets}/icon.png", badge=f"{assets}/badge.png", urgency=Urgency.HIGH, ttl=86_400)
    shipped = msgspec.structs.replace(
        look,
        category="orders",
        template="order_shipped",
        url=f"{server_url}/shop/orders/{{{{ event.order }}}}",
        actions=[Action(id="track", title="Track", url=f"{server_url}/shop/track/{{{{ event.order }}}}")],
    )
    sign_in = msgspec.structs.replace(look, category="security", template="new_sign_in", url=f"{server_url}/shop")
    offer = msgspec.structs.replace(look, category="offers", template="offer", url=f"{server_url}/shop#goods")
    return (
        Automation(name="order_shipped", on=Entry(event=ORDER_PLACED), notification=shipped),
        Automation(name="new_sign_in", on=Entry(event=SIGNED_IN), notification=sign_in),
        Automation(name="offer", on=Entry(event=OFFER_WISHED), notification=offer),
    )


async def prepare(services: Services, project: Project, *, server_url: str) -> None:
    """Put the shop's definitions into its project. The same at each start; links follow the address."""
    definitions, now = services.store.definitions, services.clock.now()
    nouns: dict[str, tuple[Category | Template | Automation, ...]] = {
        "categories": CATEGORIES,
        "templates": TEMPLATES,
        "automations": automations(server_url),
    }
    for kind, items in nouns.items():
        for item in items:
            await definitions.put(project.key, kind, item.name, msgspec.to_builtins(item), now)
    await services.catalog.changed()
