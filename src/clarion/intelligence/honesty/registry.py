"""All rules, by name; docs/reference/honesty.md is written from here."""

from collections.abc import Collection, Iterator, Mapping

from clarion.intelligence.honesty import shape, wording
from clarion.intelligence.honesty.subject import Finding, Rule, Subject

_RULES = (
    Rule(
        "title_empty",
        "error",
        "A title of which nothing is to be seen, for all or for those of whom nothing is known.",
        " ",
        "Your order is on its way",
        shape.title_empty,
    ),
    Rule(
        "length",
        "warning",
        "A title or body that screens cut. Wide characters, as in Chinese, take two columns, and so do emoji.",
        "Your order from our shop in the old town has been packed and is on its way",
        "Your order is on its way",
        shape.length,
    ),
    Rule(
        "capitals",
        "warning",
        "A title that shouts: more than half of at least six letters are capitals, or two fifths where two "
        "words of four letters are nothing else.",
        "HUGE SALE starts now",
        "The NASA sale starts now",
        shape.capitals,
    ),
    Rule(
        "marks",
        "warning",
        "The same mark twice, three marks in a row, or three exclamation marks in one title.",
        "Your order is here!!!",
        "Your order is here!",
        shape.marks,
    ),
    Rule(
        "emoji",
        "warning",
        "More than two emoji in a title. A flag, a family or one with a skin tone is one.",
        "🎉🎉🎉 It is here",
        "🎉 It is here",
        shape.too_many_emoji,
    ),
    Rule(
        "personalisation",
        "error",
        "A title or body that asks for something of the user that not everybody has, without a default or a condition.",
        "Hello {{ user.first_name }}",
        'Hello {{ user.first_name | default("there", true) }}',
        wording.personalisation,
    ),
    Rule(
        "urgency",
        "warning",
        "A title that hurries, while no deadline or number of what is left is in the body or comes from data. "
        "In a mandatory category it may: a security alert is urgent.",
        "Last chance for shoes",
        "Shoes on sale",
        wording.urgency,
    ),
    Rule(
        "clickbait",
        "warning",
        "A title that teases instead of telling. Nothing bears that out.",
        "You won't believe these shoes",
        "Running shoes, now in blue",
        wording.clickbait,
    ),
    Rule(
        "claim_number",
        "warning",
        "A number in the title that neither the body nor the data has. A name such as A-17 or 5G is no number.",
        "5 reasons to come back",
        "Order A-17 is on its way",
        wording.unproven("number"),
    ),
    Rule(
        "claim_percent",
        "warning",
        "A percentage in the title that neither the body nor the data has; 0.5 in data bears out 50 %.",
        "50% off all shoes",
        "{{ data.percent }}% off all shoes",
        wording.unproven("percent"),
    ),
    Rule(
        "claim_currency",
        "warning",
        "An amount of money in the title that neither the body nor the data has; cents in data bear it out too.",
        "Shoes for only €19.99",
        "Shoes for {{ data.price }}",
        wording.unproven("currency"),
    ),
    Rule(
        "claim_date",
        "warning",
        "A date, weekday, time or deadline in the title that neither the body nor a date in the data bears out.",
        "Sale ends Friday at 18:00",
        "Sale ends {{ data.ends_at }}",
        wording.unproven("date"),
    ),
    Rule(
        "fake_reply",
        "error",
        "A title that looks like an answer or a forwarded message: Re:, Fwd:, AW:, WG:, TR:, RV:.",
        "Re: your account",
        "About your account",
        wording.fake_reply,
    ),
    Rule(
        "fake_badge",
        "error",
        "A title that counts messages or notifications, with a number that is not in data.",
        "You have 1 new message",
        "You have {{ data.unread }} new messages",
        wording.fake_badge,
    ),
    Rule(
        "leftover",
        "error",
        "Something that was to be replaced, in title or body: {name}, %s, *|NAME|*, Lorem ipsum, TODO, or a title that "
        "says no more than test.",
        "Hello {name}",
        "Your test results are here",
        wording.leftover,
    ),
)
RULES: Mapping[str, Rule] = {rule.name: rule for rule in _RULES}


def lint(subject: Subject, rules: Collection[str], blocking: Collection[str] = ()) -> Iterator[Finding]:
    """What these rules find, in their own order. Whatever the texts are, it answers."""
    for name, rule in RULES.items():
        if name in rules:
            for found in rule.check(subject):
                yield Finding(
                    name,
                    rule.severity,
                    name in blocking,
                    found.field,
                    subject.locale,
                    found.part,
                    found.message,
                    found.instead,
                )
