"""What callers send. `null` in an optional field equals leaving it out; an unknown field is a typing mistake.

The comments of fields are for readers of the code; `description`s go into the OpenAPI document.
"""

from clarion.api.schemas.actions import ActionBody
from clarion.api.schemas.administration import BroadcastPut, CapBody, KeyPost, KeyPut, ProjectPut, RollingBody
from clarion.api.schemas.automations import AutomationPost, AutomationPut
from clarion.api.schemas.base import MAX_BATCH, Body, QuietHoursBody, WordingVersion
from clarion.api.schemas.campaigns import CampaignGoalBody, CampaignPost, CampaignPut, ScheduleBody
from clarion.api.schemas.definitions import (
    CategoryPost,
    CategoryPut,
    ContentBody,
    PartialPost,
    PartialPut,
    PlatformsBody,
    PreviewBody,
    RollbackBody,
    TemplatePost,
    TemplatePut,
)
from clarion.api.schemas.devices import (
    AnyDevice,
    ApnsDevice,
    DeviceBody,
    EmailDevice,
    FcmDevice,
    SmsDevice,
    WebPushDevice,
)
from clarion.api.schemas.digests import DigestBody, FixedWindowBody, ScheduledWindowBody, SlidingWindowBody
from clarion.api.schemas.events import EventBatch, EventBody, ReceiptBatch, ReceiptBody, SdkEventBatch, SdkEventBody
from clarion.api.schemas.experiments import ExperimentBody, GoalBody, VariantBody, WinnerBody
from clarion.api.schemas.linting import LintBody, MessagePreviewBody
from clarion.api.schemas.messages import (
    MAX_DEVICES,
    AudienceBody,
    HoldoutBody,
    MessageBody,
    NotificationBody,
    ReplaceBody,
    UnlessEventBody,
)
from clarion.api.schemas.people import ConsentImport, ConsentImports, ConsentPut, OwnPreferencesPut, UserPut
from clarion.api.schemas.preferences import PreferenceBody, PreferencePut, PreferencesPut
from clarion.api.schemas.segments import (
    OwnTopicPut,
    PeopleBody,
    SegmentPost,
    SegmentPreview,
    SegmentPut,
    TopicPost,
    TopicPut,
)

__all__ = [
    "MAX_BATCH",
    "MAX_DEVICES",
    "ActionBody",
    "AnyDevice",
    "ApnsDevice",
    "AudienceBody",
    "AutomationPost",
    "AutomationPut",
    "Body",
    "BroadcastPut",
    "CampaignGoalBody",
    "CampaignPost",
    "CampaignPut",
    "CapBody",
    "CategoryPost",
    "CategoryPut",
    "ConsentImport",
    "ConsentImports",
    "ConsentPut",
    "ContentBody",
    "DeviceBody",
    "DigestBody",
    "EmailDevice",
    "EventBatch",
    "EventBody",
    "ExperimentBody",
    "FcmDevice",
    "FixedWindowBody",
    "GoalBody",
    "HoldoutBody",
    "KeyPost",
    "KeyPut",
    "LintBody",
    "MessageBody",
    "MessagePreviewBody",
    "NotificationBody",
    "OwnPreferencesPut",
    "OwnTopicPut",
    "PartialPost",
    "PartialPut",
    "PeopleBody",
    "PlatformsBody",
    "PreferenceBody",
    "PreferencePut",
    "PreferencesPut",
    "PreviewBody",
    "ProjectPut",
    "QuietHoursBody",
    "ReceiptBatch",
    "ReceiptBody",
    "ReplaceBody",
    "RollbackBody",
    "RollingBody",
    "ScheduleBody",
    "ScheduledWindowBody",
    "SdkEventBatch",
    "SdkEventBody",
    "SegmentPost",
    "SegmentPreview",
    "SegmentPut",
    "SlidingWindowBody",
    "SmsDevice",
    "TemplatePost",
    "TemplatePut",
    "TopicPost",
    "TopicPut",
    "UnlessEventBody",
    "UserPut",
    "VariantBody",
    "WebPushDevice",
    "WinnerBody",
    "WordingVersion",
]
