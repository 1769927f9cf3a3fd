"""Calls whose outcome is the same under Celery, in tests of django_jobs, and in its workers."""

from celery import chain, group

from bakery import tasks as t
from bakery.celery import app, debug_task

CASES = {
    "default": lambda: t.open_shop.delay(),
    "bake": lambda: t.bake.delay("rye", number=2),
    "by keyword": lambda: t.bake.apply_async(kwargs={"kind": "oat", "number": 1}),
    "sell": lambda: t.sell.apply_async(("fresh",), {"price": 4}, queue="market", priority=9),
    "sell in vain": lambda: t.sell.delay("stale"),
    "retry and headers": lambda: t.order_flour.apply_async((3,), headers={"truck": 7}),
    "last retry": lambda: t.order_salt.delay(),
    "retries exceeded": lambda: t.order_water.delay(),
    "more retries than the task has": lambda: t.order_patience.delay(),
    "automatic retry": lambda: t.heat.delay(200),
    "no automatic retry": lambda: t.heat_too_much.delay(),
    "last automatic retry": lambda: t.heat_in_vain.delay(),
    "current task": lambda: t.who_am_i.delay(),
    "debug": lambda: debug_task.delay(),
    "by name": lambda: app.signature("bakery.reports.count", args=([1, 2, 3],)).delay(),
    "signature": lambda: t.plus.signature((2,), {"y": 3}).set(queue="market").apply_async(),
    "partial": lambda: t.plus.s(1).delay(5),
    "immutable": lambda: t.plus.si(1, 1).delay(),
    "chain": lambda: (t.plus.s(1) | t.times.s(3))(5),
    "chain, group and chord": lambda: t.day().apply_async(),
    "chord": lambda: t.market(4),
    "empty chord": lambda: t.market(0),
    "group of one, joined": lambda: (group(t.plus.s(1, 1)) | t.total.s())(),
    "group of one, in a chain": lambda: chain(group(t.plus.s(1, 1)), t.plus.s(5))(),
}
GROUPS = {
    "group": lambda: group(t.plus.s(each, each) for each in range(3))(),
    "group with an argument": lambda: group([t.plus.s(1), t.times.s(2)]).apply_async((4,)),
    "group behind a group": lambda: chain(group(t.plus.s(1, 1), t.plus.s(2, 2)), group(t.total.s(), t.total.s()))(),
}
