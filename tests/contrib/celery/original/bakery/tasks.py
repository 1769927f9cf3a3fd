from celery import chain, chord, current_task, group, shared_task
from celery.exceptions import MaxRetriesExceededError, Reject, SoftTimeLimitExceeded

from bakery.base import DiaryTask, OvenTask
from bakery.celery import app


class SoldOut(Exception):
    pass


@shared_task
def open_shop(when="evening"):
    return f"open in the {when}"


@shared_task(base=DiaryTask)
def bake(kind, number=1):
    return [f"{kind} {each}" for each in range(number)]


@shared_task(base=DiaryTask, acks_late=True, priority=7, queue="counter")
def sell(loaf, *, price=3):
    if loaf == "stale":
        raise SoldOut("nobody wants it")
    return price


@app.task(name="bakery.total", ignore_result=False)
def total(prices):
    return sum(prices)


@app.task(bind=True, base=DiaryTask, max_retries=3, default_retry_delay=0)
def order_flour(self, sacks):
    try:
        if self.request.retries < 2:
            raise SoldOut(f"attempt {self.request.retries}")
    except SoldOut as exc:
        raise self.retry(exc=exc)
    return [sacks, self.request.retries, self.request.headers.get("truck") if self.request.headers else None]


@app.task(bind=True, base=DiaryTask, max_retries=1)
def order_salt(self):
    try:
        raise SoldOut("no salt")
    except SoldOut as exc:
        self.retry(exc=exc, countdown=0)


@app.task(bind=True, max_retries=None)
def order_water(self):
    try:
        self.retry(countdown=0, max_retries=1)
    except MaxRetriesExceededError:
        return "from the tap"


@app.task(bind=True, max_retries=1)
def order_patience(self):
    if self.request.retries < 5:
        self.retry(countdown=0, max_retries=5)
    return self.request.retries


@shared_task(bind=True, base=OvenTask)
def heat(self, celsius):
    if self.request.retries < 2:
        raise ConnectionResetError("the oven is gone")
    return [celsius, self.request.retries]


@shared_task(base=OvenTask)
def heat_too_much():
    raise ConnectionRefusedError("too hot")


@shared_task(bind=True, base=OvenTask)
def heat_in_vain(self):
    raise ConnectionAbortedError(f"attempt {self.request.retries}")


@shared_task(soft_time_limit=0.2, time_limit=30)
def rest_dough():
    try:
        while True:
            sum(range(1000))
    except SoftTimeLimitExceeded:
        return "rested"


@shared_task
def refuse():
    raise Reject("no more guests", requeue=False)


@shared_task(bind=True)
def who_am_i(self):
    return [self.name, current_task.name, current_task.request.id == self.request.id]


@shared_task
def plus(x, y):
    return x + y


@shared_task
def times(x, y):
    return x * y


def day():
    """Two kinds are baked side by side, each loaf is sold, and the prices are added: a chain, a group and a chord."""
    return chain(
        plus.s(1, 2),
        times.s(10),
        group(plus.s(1), plus.si(100, 1), times.s(2) | plus.s(5)),
        total.s(),
    )


def market(number):
    return chord([sell.s(f"loaf {each}", price=each) for each in range(number)])(total.s())
