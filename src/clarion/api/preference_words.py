"""What the pages about preferences say, in each language that they speak."""

from datetime import datetime
from types import MappingProxyType
from typing import Final

from clarion.model import Channel

DEFAULT: Final = "en"
EDITION: Final = "preference page 1"
"""The version of these words, for the ledger: a consent is worth what the person read."""

_EN = {
    "title": "Your notifications",
    "about": "Choose what {site} may send you, and how.",
    "kinds": "What you get",
    "always": "Always on",
    "always_about": "Needed for your safety or your account, so it cannot be switched off.",
    "pause": "Pause all marketing for 30 days",
    "pause_about": "No offers and the like in that time. Everything else still reaches you.",
    "paused": "Paused until {date}",
    "quiet": "Quiet hours",
    "quiet_about": "What can wait comes when they are over. What is needed at once still comes.",
    "zone": "By the clock in {zone}.",
    "start": "From",
    "end": "Until",
    "save": "Save",
    "saved": "Saved. This holds from now on, also for what was already planned.",
    "wrong": "Nothing was saved yet.",
    "need_times": "Enter both times, such as 22:00 and 08:00.",
    "same_times": "The two times must differ.",
    "gone_title": "This link does not work any more",
    "gone": "It may be too old, or a part of it was lost on the way. Nothing was changed. "
    "The link in a newer message will work.",
    "push": "Push",
    "email": "E-mail",
    "sms": "SMS",
    "inbox": "Inbox",
    "months": "January February March April May June July August September October November December",
    "date": "{day} {month} {year}",
}
_DE = {
    "title": "Deine Benachrichtigungen",
    "about": "Wähle, was {site} dir schicken darf, und wie.",
    "kinds": "Was du bekommst",
    "always": "Immer an",
    "always_about": "Nötig für deine Sicherheit oder dein Konto und deshalb nicht abschaltbar.",
    "pause": "Alle Werbung 30 Tage pausieren",
    "pause_about": "Keine Angebote und Ähnliches in dieser Zeit. Alles andere erreicht dich weiterhin.",
    "paused": "Pausiert bis {date}",
    "quiet": "Ruhezeit",
    "quiet_about": "Was warten kann, kommt danach. Was sofort nötig ist, kommt trotzdem.",
    "zone": "Nach der Uhr in {zone}.",
    "start": "Von",
    "end": "Bis",
    "save": "Speichern",
    "saved": "Gespeichert. Das gilt ab jetzt, auch für schon Geplantes.",
    "wrong": "Es wurde noch nichts gespeichert.",
    "need_times": "Gib beide Zeiten an, etwa 22:00 und 08:00.",
    "same_times": "Die beiden Zeiten müssen verschieden sein.",
    "gone_title": "Dieser Link gilt nicht mehr",
    "gone": "Er ist vielleicht zu alt, oder ein Teil ging unterwegs verloren. Es wurde nichts geändert. "
    "Der Link in einer neueren Nachricht wird gehen.",
    "push": "Push",
    "email": "E-Mail",
    "sms": "SMS",
    "inbox": "Postfach",
    "months": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "date": "{day}. {month} {year}",
}
_FR = {
    "title": "Vos notifications",
    "about": "Choisissez ce que {site} peut vous envoyer, et comment.",
    "kinds": "Ce que vous recevez",
    "always": "Toujours actif",
    "always_about": "Nécessaire à votre sécurité ou à votre compte, donc impossible à désactiver.",
    "pause": "Suspendre toute publicité pendant 30 jours",
    "pause_about": "Pas d'offres ni de publicité pendant ce temps. Tout le reste vous parvient.",
    "paused": "Suspendu jusqu'au {date}",
    "quiet": "Heures calmes",
    "quiet_about": "Ce qui peut attendre arrive après. Ce qui est urgent arrive quand même.",
    "zone": "À l'heure de {zone}.",
    "start": "De",
    "end": "À",
    "save": "Enregistrer",
    "saved": "Enregistré. C'est valable dès maintenant, y compris pour ce qui était déjà prévu.",
    "wrong": "Rien n'a encore été enregistré.",
    "need_times": "Indiquez les deux heures, par exemple 22:00 et 08:00.",
    "same_times": "Les deux heures doivent être différentes.",
    "gone_title": "Ce lien n'est plus valable",
    "gone": "Il est peut-être trop ancien, ou une partie s'est perdue en route. Rien n'a été modifié. "
    "Le lien d'un message plus récent fonctionnera.",
    "push": "Push",
    "email": "E-mail",
    "sms": "SMS",
    "inbox": "Boîte de réception",
    "months": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "date": "{day} {month} {year}",
}
_ES = {
    "title": "Tus notificaciones",
    "about": "Elige qué puede enviarte {site} y cómo.",
    "kinds": "Lo que recibes",
    "always": "Siempre activo",
    "always_about": "Necesario para tu seguridad o tu cuenta, así que no se puede desactivar.",
    "pause": "Pausar toda la publicidad durante 30 días",
    "pause_about": "Sin ofertas ni similares en ese tiempo. Todo lo demás te sigue llegando.",
    "paused": "En pausa hasta el {date}",
    "quiet": "Horas de silencio",
    "quiet_about": "Lo que puede esperar llega después. Lo urgente llega igualmente.",
    "zone": "Según la hora de {zone}.",
    "start": "Desde",
    "end": "Hasta",
    "save": "Guardar",
    "saved": "Guardado. Vale desde ahora, también para lo que ya estaba previsto.",
    "wrong": "Todavía no se ha guardado nada.",
    "need_times": "Indica las dos horas, por ejemplo 22:00 y 08:00.",
    "same_times": "Las dos horas deben ser distintas.",
    "gone_title": "Este enlace ya no funciona",
    "gone": "Quizá es demasiado antiguo o se perdió una parte por el camino. No se ha cambiado nada. "
    "El enlace de un mensaje más reciente funcionará.",
    "push": "Push",
    "email": "Correo",
    "sms": "SMS",
    "inbox": "Bandeja",
    "months": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "date": "{day} de {month} de {year}",
}
WORDS: Final = MappingProxyType({"en": _EN, "de": _DE, "fr": _FR, "es": _ES})


def day(words: dict[str, str], at: datetime) -> str:
    """A day as people say it."""
    month = words["months"].split()[at.month - 1]
    return words["date"].format(day=at.day, month=month, year=at.year)


def channel(words: dict[str, str], name: str) -> str:
    """What a channel is called."""
    return words[Channel(name).value]
