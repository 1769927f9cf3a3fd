from celery import Celery

app = Celery("bakery", broker="amqp://guest@localhost//", include=["bakery.reports"])
app.config_from_object("bakery.celeryconfig")
app.autodiscover_tasks(["bakery"])


@app.task(bind=True, ignore_result=True)
def debug_task(self):
    return f"{self.request.task} {self.request.retries} {self.request.called_directly}"


@app.on_after_finalize.connect
def setup_periodic_tasks(sender, **kwargs):
    from bakery.tasks import open_shop

    sender.add_periodic_task(3600.0, open_shop.s("morning"), name="open the shop")
