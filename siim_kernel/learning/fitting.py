"""The loop of a training: phases, epochs, the weights that are kept, and where the clock ends it."""

import math
import time

import keras

from siim_kernel import clock, runs
from siim_kernel.errors import RunError
from siim_kernel.learning import networks, pipeline, states

LOSSES = {"study": "categorical_crossentropy", "none": "binary_crossentropy"}
MARGIN = 1.2  # on measured times: an epoch, a file or a disk may be slower than the last one
SLACK = 5.0  # seconds for what is not measured: tables, folders, the end of the process


class OutOfTime(Exception):  # noqa: N818 - no error: the session ends here as planned
    """The session's time is up. Its argument says after how many finished epochs: the state on the disk is that of the last."""


class Session:
    """The time of one session, over all folds that are trained in it, and the longest that saving and validation took."""

    def __init__(self, deadline=clock.UNLIMITED):
        self.deadline, self.epochs = deadline, 0
        self.saving = self.validation = 0.0

    def lasts(self, seconds):
        """Whether that many more seconds fit. The first epoch of a session always does, so that a chain of sessions ends."""
        return self.epochs == 0 or self.deadline.left() > seconds


def fit(model, recipe, learn, check, places, session, state, save, say, predicted=0):
    """Trains a model by the recipe's phases from `state` on; returns the `states.Progress` and the kept weights (a list of arrays).

    learn, check  `pipeline.Examples` to learn from and to be validated on
    places        the tf.distribute strategy under which the model was built
    state         a `states.State` to go on from, None for the start
    save          called with (progress, model's, optimizer's, kept arrays) after each epoch
    say           called with one line an epoch
    predicted     films that are predicted when the training is over: the session keeps time for that

    Raises OutOfTime where the session ends first, and RunError where the validation loss is not finite before any weights
    could be kept.
    """
    progress = state.progress if state else states.Progress()
    versions = runs.versions()
    if progress.sessions and (
        other := [f"{name} {was}" for name, was in progress.sessions[-1]["versions"].items() if versions.get(name) != was]
    ):
        say(f"warning: the last session had {', '.join(other)}: the result need not be that of an unbroken training")
    progress.sessions.append({"epoch": progress.epoch, "versions": versions})
    kept = state.kept if state else []
    if state:
        _assign(model.variables, state.model)
    for number in range(progress.phase, len(recipe.phases)):
        if progress.diverged:
            break
        if number > progress.phase:
            progress.phase, progress.phase_epoch, progress.phase_best, progress.waited = number, 0, None, 0
        phase = recipe.phases[number]
        if _over(progress, phase):
            continue
        networks.set_trainable(model, recipe, phase.trainable)
        with places.scope():
            model.compile(
                optimizer=optimizer(phase),
                loss={head: LOSSES[head] for head in recipe.heads},
                loss_weights=dict(zip(recipe.heads, recipe.loss_weights, strict=True)),
                weighted_metrics={"study": ["accuracy"]},
            )
            if progress.phase_epoch:
                model.optimizer.build(model.trainable_variables)
                _assign(model.optimizer.variables, state.optimizer)
        epochs = Epochs(recipe, progress, kept, session, save, say, places.num_replicas_in_sync, predicted / len(check.rows))
        last = progress.epoch - progress.phase_epoch + phase.epochs
        model.fit(
            pipeline.training_data(learn, recipe, progress.epoch, last),
            validation_data=pipeline.plain_data(check, recipe),
            initial_epoch=progress.epoch,
            epochs=last,
            steps_per_epoch=pipeline.steps(learn, recipe),
            callbacks=[epochs],
            verbose=0,
        )
        kept = epochs.kept
    if not kept:
        raise RunError(
            f"recipe {recipe.name}: the validation loss of phase {progress.phase + 1} is not finite in epoch {progress.epoch}; "
            "lower the learning rate"
        )
    return progress, kept


def optimizer(phase):
    """A phase's optimizer, new.

    Keras 3 ignores the `decay` of older optimizers; the schedule of the same meaning is InverseTimeDecay step by step.
    """
    extra = {"momentum": phase.momentum} if phase.optimizer in ("sgd", "rmsprop") else {}
    rate = phase.learning_rate
    if phase.decay:
        rate = keras.optimizers.schedules.InverseTimeDecay(rate, decay_steps=1, decay_rate=phase.decay)
    return {
        "sgd": keras.optimizers.SGD,
        "adam": keras.optimizers.Adam,
        "nadam": keras.optimizers.Nadam,
        "rmsprop": keras.optimizers.RMSprop,
    }[phase.optimizer](learning_rate=rate, **extra)


def _over(progress, phase):
    """Whether a phase has ended: by its epochs, by patience, or because nothing is learnt any more."""
    impatient = phase.patience and progress.waited >= phase.patience
    return progress.diverged or impatient or progress.phase_epoch >= phase.epochs


def _assign(variables, arrays):
    """Gives variables the values of a state, by position."""
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [array.shape for array in arrays]:
        raise RunError(
            f"the state of the training has {len(arrays)} arrays that do not fit the {len(shapes)} variables of this network: it was "
            "made by another version; remove it to begin anew"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


class Epochs(keras.callbacks.Callback):
    """After each epoch: counters, the weights to keep, the state on the disk, a line; and whether to go on."""

    def __init__(self, recipe, progress, kept, session, save, say, replicas=1, finishing=1.0):
        """`finishing`: films that are predicted at the end, as a multiple of those that validate an epoch."""
        super().__init__()
        self.recipe, self.progress, self.kept, self.replicas, self.finishing = recipe, progress, kept, replicas, finishing
        self.session, self.save, self.say = session, save, say
        self.validation = 0.0
        for each in progress.timings:
            self._took(each)

    def on_epoch_begin(self, epoch, logs=None):
        """Starts only an epoch that fits."""
        timings = self.progress.timings
        known = timings[-1]["seconds"] if timings and timings[-1]["phase"] == self.progress.phase + 1 else 0.0
        self._require(MARGIN * known)
        self.began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """An epoch of a new phase may be slower than any before."""
        self._require()

    def on_test_batch_end(self, batch, logs=None):
        """Nor is it known how long the first validation takes."""
        self._require()

    def on_test_begin(self, logs=None):
        """Validation is timed, as finishing a run takes about as long."""
        self.validated = time.monotonic()

    def on_test_end(self, logs=None):
        """Seconds that validation took."""
        self.validation = time.monotonic() - self.validated

    def on_epoch_end(self, epoch, logs=None):
        """An epoch is finished when its state is on the disk."""
        seconds = time.monotonic() - self.began
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self._count(figures)
        progress = self.progress
        phase = self.recipe.phases[progress.phase]
        progress.timings.append({"phase": progress.phase + 1, "seconds": seconds, "validation": self.validation, "saving": 0.0})
        began = time.monotonic()
        arrays = [[variable.numpy() for variable in group] for group in (self.model.variables, self.model.optimizer.variables)]
        self.save(progress, *arrays, self.kept)
        progress.timings[-1]["saving"] = time.monotonic() - began
        self._took(progress.timings[-1])
        self.session.epochs += 1
        self.say(
            f"phase {progress.phase + 1} ({phase.trainable}) epoch {progress.epoch}: loss {figures['loss']:.4f}, "
            f"validation loss {figures['val_loss']:.4f}, {seconds:.1f} s"
        )
        self.model.stop_training = bool(_over(progress, phase))

    def _count(self, figures):
        """Takes an epoch's figures into the counters, and keeps the weights if they are to be kept."""
        progress, loss = self.progress, figures["val_loss"]
        progress.epoch += 1
        progress.phase_epoch += 1
        progress.history.append({"phase": progress.phase + 1, "epoch": progress.epoch} | figures)
        if not math.isfinite(loss):
            progress.diverged = True
            return
        if better := progress.best is None or loss < progress.best:
            progress.best = loss
        if better or self.recipe.keep == "last":
            self.kept = self.model.get_weights()
        if progress.phase_best is None or loss < progress.phase_best:
            progress.phase_best, progress.waited = loss, 0
        else:
            progress.waited += 1

    def _took(self, timing):
        self.session.saving = max(self.session.saving, timing["saving"])
        self.session.validation = max(self.session.validation, timing["validation"])

    def _require(self, seconds=0.0):
        """OutOfTime where the session does not last so long and the reserve beyond."""
        if not self.session.lasts(seconds + self._reserve()):
            raise OutOfTime(self.progress.epoch)

    def _reserve(self):
        """Seconds in which a state can be saved and, if this was the last epoch, the run be finished.

        Finishing predicts films on one device and in float32, with their mirrors if the recipe has them.
        """
        slower = self.finishing * (2 if self.recipe.flip_average else 1) * (2 if self.recipe.mixed_precision else 1) * self.replicas
        return MARGIN * (2 * self.session.saving + slower * self.session.validation) + SLACK
