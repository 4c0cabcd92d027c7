"""Mutants that the checker lets through: why they are other methods, or what would find them.

Both tables are keyed by (operator, spec, place). `OTHER` holds legitimate other methods, each with
the reason. `MISSED` holds mistakes that the checker should find, each with what would prove it; an
entry there counts even where no recipe reaches the line. What is in neither table, and is neither
caught nor the same, is not judged, and the command ends with 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

Key = tuple[str, str, str]  # operator, spec, place


def _all(operator: str, reason: str, **places: str) -> dict[Key, str]:
    """One reason for places of several specs, which stand one after the other, `; ` between."""
    return {(operator, spec, p): reason for spec, text in places.items() for p in text.split("; ")}


def _merged(*tables: Mapping[Key, str]) -> dict[Key, str]:
    merged = dict(chain.from_iterable(table.items() for table in tables))
    assert len(merged) == sum(map(len, tables)), "a mutant stands in a table twice"
    return merged


_FORGET = "forget a statement"
_UNITS = "exchange epochs and steps"

OTHER: dict[Key, str] = _merged(
    # Gradient and averages.
    _all("drop a stop_grad",
         "SimCLR's gradient, through both sides; that InvaSpread's goes through one is a choice",
         invaspread="spread"),
    _all("drop a stop_grad",
         "The two views are led to each other both ways; the weak one is held by its own contrast",
         clsa="divergence"),
    _all("apply the net, not its average", "The student is evaluated instead of the teacher",
         dino="features"),
    _all("declare the net, not its average",
         "Keys of the trained net itself, cut: the known ablation of momentum 0",
         densecl="target; target_g; target_h"),
    _all("exchange the weights of an average",
         "A centre that follows the last batch: rate 0.1 for 0.9 (its paper tries 0)",
         dino="<- center"),
    # Views.
    _all("exchange a view",
         "Two views of another strength: x is a crop alone, which both sides may be contrasted on",
         simclrv2="z/4; <- negatives/2; <- negatives/4"),
    _all("exchange a view", "Evaluated by another chain, whose resize is torchvision's",
         simclrv2="features/2; finetune.features/1; finetune.features/2"),
    _all("exchange a view", "Fine-tuned on images of stronger colour; the labels are the same",
         simclrv2="finetune.loss/1; finetune.loss/2"),
    _all("exchange a view", "Evaluated at the resolution of the strong view", clsa="features/2"),
    _all("exchange a view",
         "Distilled across two augmentations of an image, as noisy students are",
         simclrv2="distill.answer/1; distill.answer/2; distill.logits/1; distill.logits/2"),
    _all("exchange a view", "The other view's embeddings are searched, or both in turn",
         nnclr="<- support"),
    _all("drop a negative sign", "Angles and shifts of all sizes, small ones too",
         mocov2_randaugment="; ".join(f"augmented/{at}" for at in (2, 4, 6, 8, 10)),
         clsa="; ".join(f"stronger/{at}" for at in (2, 4, 6, 8, 10))),
    _all("drop the condition of a sum",
         "Each view is also compared with its own target: a weaker term, and a sound one",
         byol="loss", dino="loss", mocov3_vit="loss", simsiam="loss", swav="loss", nnclr="loss"),
    _all("drop a `where`",
         "The loss on all patches, those shown with them (He et al., 2022, section 3)", mae="loss"),
    # Nets.
    _all("remove a head", "No projector: the backbone's width happens to be the predictor's",
         nnclr="z"),
    _all("drop a `with`", "Without stochastic depth", dino="student"),
    _all("drop a `with`", "A teacher with the student's stochastic depth", dino="teacher"),
    _all("drop a `with`",
         "Batch norm over the whole batch, as in one process without shuffling; MoCo's paper "
         "shows that it is worse, and most methods have it",
         mocov1="online; target", mocov2="online; target",
         mocov2_randaugment="online; target", clsa="online; target"),
    _all("drop a `with`", "A queue in use from the start, as solo-learn has it",
         swav="recent; recipe default.recent"),
    _all("drop an l2_normalize",
         "No bottleneck norm before the last layer, whose rows are of length 1 all the same",
         dino="student"),
    _all("drop an l2_normalize", "Places matched by their product instead of their cosine",
         densecl="rows"),
    # Losses.
    _all("drop a term of the loss", "Covariance of one branch alone is penalised",
         vicreg="loss/3; loss/4"),
    _all("drop a term of the loss",
         "Mixing as an augmentation, and what is mixed the more counts the less", imix="loss/2"),
    _all("drop a term of the loss",
         "Without the paper's second term: cross entropy over instances",
         invaspread="spread/2"),
    _all("drop a term of the loss",
         "Negatives are pushed apart and positives are not drawn together: weak, and not wrong in "
         "form", invaspread="spread/1"),
    _all("remove a standard deviation",
         "Cross-covariance towards the identity: the scale of a column is then learned",
         barlow_twins="standardize"),
    _all("remove a standard deviation", "Targets centred and not scaled", mae="standardized"),
    _all("remove a centre", "Second moments about 0 instead of about the mean",
         barlow_twins="standardize", vicreg="redundancy"),
    _all("remove a centre", "Targets scaled and not centred", mae="standardized"),
    _all("drop a temperature", "A temperature of 1, which MoCo v3 has for its ResNet-50",
         cmc="loss/1; loss/2", instdisc="loss", invaspread="spread", mocov3_vit="loss",
         simclrv2="loss", swav="scores", densecl="loss/1; loss/2"),
    _all("drop a temperature", "A student at 1, a teacher at 0.04: sharper targets than before",
         dino="loss"),
    _all("drop a temperature", "Distillation with a temperature on one side alone",
         simclrv2="distill.answer; distill.loss"),
    _all("exchange two arguments",
         "The softmax runs over queries for each key: the other direction of InfoNCE (as in CLIP)",
         mocov3_vit="loss", nnclr="loss", cpc="loss", clsa="weak; divergence/2"),
    _all("exchange the sides of a product",
         "The Gram matrix of rows for the covariance of columns: the contrastive dual (Garrido et "
         "al., 2023)", barlow_twins="c", vicreg="redundancy"),
    _all("change an axis", "Targets standardised over the batch instead of within a patch",
         mae="standardized/1; standardized/2"),
    _all("drop a negative sign", "Targets standardised over the patches of an image",
         mae="standardized/1; standardized/2"),
    _all("plus for minus", "Normalised afterwards, the weights 0.5 and 1.5 are a momentum of 1/4",
         cmc="<- memory_l; <- memory_ab", instdisc="<- memory"),
    _all("plus for minus", "The diagonal is shrunk as well: its best value is a little below 1",
         barlow_twins="redundancy"),
    _all("plus for minus",
         "Least, 0, where each row finds its partner, as before: the sum of log(1 + p) over the "
         "others is at most 1 - p, and -log p of the partner is more", invaspread="spread"),
    _all("plus for minus", "Divided by n + 1: the estimate of least error instead of no bias",
         vicreg="redundancy/2"),
    _all("plus for minus", "The loss between images weighs three times that between places",
         densecl="loss"),
    _all("plus for minus", "The decoder paints the negative: its last layer has the other sign",
         mae="loss"),
    # Statements.
    _all(_FORGET, "The patch projection is trained, as the recipe trained_projection has it",
         mocov3_vit="freeze"),
    _all(_FORGET, "Evaluated by the recipe's kNN and probe instead of by its own classifier",
         simclrv2="finetune.evaluate; distill.evaluate"),
    # Times.
    _all(_UNITS, "A run of eight epochs or more: short, as trials are",
         simclr="recipe cifar10.length", simsiam="recipe cifar10.length",
         imix="recipe cifar10.length"),
    _all(_UNITS, "A warm-up of a tenth of an epoch: short, and one that is used",
         mocov3_vit="recipe imagenet.optimizer", simclr="recipe cifar10.optimizer",
         simclrv2="recipe imagenet.optimizer; recipe default.finetune.optimizer",
         mae="recipe imagenet.optimizer", imix="recipe cifar10.optimizer"),
    _all(_UNITS, "A rate that leads by a step instead of by an epoch",
         mocov2_randaugment="recipe imagenet.optimizer"),
    _all(_UNITS, "Evaluated more often than once an epoch",
         invaspread="recipe cifar10.evaluate", simclr="recipe cifar10.evaluate",
         simsiam="recipe cifar10.evaluate", imix="recipe cifar10.evaluate"),
    _all(_UNITS, "A queue in use after a few steps instead of epochs",
         swav="recent; recipe default.recent"),
    _all(_UNITS, "The last layer is frozen for the first step alone",
         dino="recipe imagenet.freeze"),
    _all(_UNITS, "A momentum that leads by an epoch instead of by a step",
         mocov3_vit="momentum; recipe resnet50_1000.momentum"),
)  # fmt: skip

MISSED: dict[Key, str] = {}  # none is known
