"""Anomaly scores: each is what it says, whichever rows stand beside; shares sum to what they explain."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from core.linear_gaussian import LinearGaussian
from vaekit.common.errors import DataError, UsageError
from vaekit.common.seeds import seeded
from vaekit.core import VAE, Batch, Context, Latent, Parametric
from vaekit.core.conditional import Conditional
from vaekit.evaluate import log_evidence
from vaekit.families.columns import marginal_of
from vaekit.priors import standard_normal
from vaekit.recipes import build
from vaekit.recipes.forms import ArrayForm, TableForm
from vaekit.uses.scores import (
    SCORES,
    Average,
    Complexity,
    Ensemble,
    LikelihoodRegret,
    LogEvidence,
    Mahalanobis,
    Member,
    NegativeElbo,
    Reconstruction,
    Reference,
    Typicality,
    code_length,
    ready,
    shares,
)
from vaekit.uses.scores import Latent as LatentScore
from vaekit.uses.scores.complexity import PREDICTORS, _shifted, as_bytes
from vaekit.uses.scores.regret import freed
from vaekit.uses.scores.shares import by_posterior, column_log_prob, evenly

PLACES = {"rtol": 1e-5, "atol": 1e-4}
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def as_it_is(rows: Tensor) -> Tensor:
    return rows


def images(n: int) -> Batch:
    return Batch(torch.rand(n, 1, 16, 16))


def image_model() -> VAE:
    return build("vae", (1, 16, 16), latent=3, hidden=(8,), seed=1).model


every_score = pytest.mark.parametrize("name", SCORES)


@every_score
def test_a_score_is_a_function_of_the_row_and_the_seed(name: str) -> None:
    model, batch = image_model(), images(7)
    scorer = ready(SCORES[name], model, images(30), 4)
    whole = scorer(model, batch, 4, seed=3)
    assert whole.shape == (7,)
    assert whole.dtype == torch.float64
    assert torch.equal(scorer(model, batch, 4, seed=3), whole)
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    torch.testing.assert_close(scorer(model, Batch(batch.x[order]), 4, seed=3), whole[order], **PLACES)
    alone = [scorer(model, Batch(batch.x[row : row + 1]), 4, seed=3) for row in range(7)]
    torch.testing.assert_close(torch.cat(alone), whole, **PLACES)


@every_score
def test_a_score_leaves_the_model_and_the_generator_alone(name: str) -> None:
    model, batch, known = image_model().train(), images(3), images(5)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    ready(SCORES[name], model, known, 4)(model, batch, 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


@every_score
def test_what_does_not_look_like_the_data_is_odder(name: str) -> None:
    """Of a linear-Gaussian truth with its exact posterior, a row far out along all directions."""
    if name == "complexity":
        pytest.skip("it is of images")
    truth = LinearGaussian.random(6, 2)
    model = truth.model(truth.inexact.normal("x"))
    known = Batch(truth.evidence.sample((200,)))
    scorer = ready(SCORES[name], model, known, 8, encode=as_it_is)
    odd = Batch(known.x.mean(0) + 30 * torch.ones(1, 6).double())
    found = scorer(model, known, 8, encode=as_it_is)
    assert float(scorer(model, odd, 8, encode=as_it_is)) > float(found.max())


@pytest.mark.parametrize("score", [LogEvidence(), NegativeElbo(), Reconstruction(), LatentScore(), LikelihoodRegret()])
def test_no_samples_are_refused(score: LogEvidence) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        score(image_model(), images(2), 0)


class TestTheLikelihoodScores:
    def test_the_negative_elbo_is_distortion_and_rate(self) -> None:
        truth = LinearGaussian.random()
        model = truth.model(truth.inexact.normal("x"))
        batch = Batch(truth.evidence.sample((5,)))
        torch.testing.assert_close(
            LatentScore()(model, batch, encode=as_it_is), truth.kl(truth.inexact, batch.x).expand(5), **EXACT
        )
        many = 20_000
        parts = [score(model, batch, many, encode=as_it_is) for score in (Reconstruction(), LatentScore())]
        lines = -model.trace(batch.x, many).log_lik.detach()
        error = (lines.var(0) / many).sqrt()
        assert (((parts[0] + parts[1]) + truth.elbo(truth.inexact, batch.x)).abs() < 5 * error).all()

    def test_the_evidence_is_exact_where_the_posterior_is(self) -> None:
        truth = LinearGaussian.random()
        x = truth.evidence.sample((5,))
        found = LogEvidence()(truth.model(truth.exact.full_normal("x")), Batch(x), 3, encode=as_it_is)
        torch.testing.assert_close(found, -truth.evidence.log_prob(x), **EXACT)

    def test_a_point_has_no_rate_and_no_evidence_but_a_reconstruction(self) -> None:
        model, x = build("ae", (6,), latent=2).model, torch.rand(3, 6)
        for score in (LogEvidence(), NegativeElbo(), LatentScore(), LikelihoodRegret()):
            with pytest.raises(UsageError, match="is a point"):
                score(model, Batch(x))
        codes = model.trace(x).log_lik[0].detach().double()
        torch.testing.assert_close(Reconstruction()(model, Batch(x)), -codes, **PLACES)


class TestLikelihoodRegret:
    def test_of_the_exact_posterior_there_is_none(self) -> None:
        truth = LinearGaussian.random()
        x = truth.evidence.sample((5,))
        found = LikelihoodRegret()(truth.model(truth.exact.full_normal("x")), Batch(x), 400, encode=as_it_is)
        assert (found < 0.02).all()

    def test_it_is_the_divergence_from_the_best_posterior_of_the_family(self) -> None:
        """Of one latent the family holds the exact posterior, and the best ELBO is log p(x)."""
        truth = LinearGaussian.random(4, 1)
        x = truth.evidence.sample((6,))
        search = LikelihoodRegret(steps=200, draws=32)
        found = search(truth.model(truth.inexact.normal("x")), Batch(x), 4000, encode=as_it_is)
        regret = truth.evidence.log_prob(x) - truth.elbo(truth.inexact, x)
        assert float(regret.min()) > 0.05
        torch.testing.assert_close(found, regret, rtol=0.05, atol=0.02)

    @pytest.mark.parametrize("recipe", ["vae", "hvae", "ladder_vae", "bottom_up_vae"])
    def test_it_is_gained_by_every_latent_of_a_family(self, recipe: str) -> None:
        model = build(recipe, (6,), seed=0).model
        assert (LikelihoodRegret()(model, Batch(torch.rand(3, 6)), 50) > 0).all()

    def test_a_shift_is_of_the_posterior_alone(self) -> None:
        """A VampPrior refers to the very encoder whose parameters are shifted, and stays the same."""
        model, x = build("vamp_vae", (6,), latent=2, seed=0).model, torch.rand(1, 6)
        free = freed(model)
        up = {"z shift": torch.tensor([[3.0, 0.0, 0.0, 0.0]])}
        before, after = (free.trace(x, given=given).latents["z"] for given in ({}, up))
        moved = after.drawn.distribution.mean - before.drawn.distribution.mean
        torch.testing.assert_close(moved, torch.tensor([[[3.0, 0.0]]]))
        at = torch.zeros(1, 1, 2)
        assert torch.equal(before.prior.log_prob(at), after.prior.log_prob(at))

    def test_draws_without_a_gradient_are_refused(self) -> None:
        with pytest.raises(UsageError, match="gradient through the draws"):
            LikelihoodRegret()(build("gm_vae", (6,)).model, Batch(torch.rand(3, 6)), 8)

    def test_a_flow_posterior_is_refused_by_name(self) -> None:
        with pytest.raises(UsageError, match="families of parameters"):
            LikelihoodRegret()(build("iaf_vae", (6,)).model, Batch(torch.rand(3, 6)), 8)


class TestMahalanobis:
    def test_it_is_the_distance_of_the_codes(self) -> None:
        truth = LinearGaussian.random(5, 2)
        model = truth.model(truth.inexact.normal("x"))
        known, new = truth.evidence.sample((300,)), truth.evidence.sample((4,))
        score = Mahalanobis(shrink=0.0).learnt(model, Batch(known), encode=as_it_is)
        codes, of_new = (truth.inexact.at(x).mean.numpy() for x in (known, new))
        precision = np.linalg.inv(np.cov(codes.T))
        off = of_new - codes.mean(0)
        expected = np.sqrt(np.einsum("nd,de,ne->n", off, precision, off))
        np.testing.assert_allclose(score(model, Batch(new), encode=as_it_is).numpy(), expected, rtol=1e-8)

    def test_it_must_have_learnt(self) -> None:
        with pytest.raises(UsageError, match="known rows"):
            Mahalanobis()(image_model(), images(2))
        with pytest.raises(DataError, match="at least 2"):
            Mahalanobis().learnt(image_model(), images(1))

    def test_codes_that_never_vary_are_at_no_distance(self) -> None:
        model, same = image_model(), Batch(torch.zeros(5, 1, 16, 16))
        assert torch.equal(Mahalanobis().learnt(model, same)(model, same), torch.zeros(5).double())


class TestTypicality:
    def test_what_is_too_likely_is_odd_as_well(self) -> None:
        truth = LinearGaussian.random(20, 2)
        model = truth.model(truth.exact.full_normal("x"))
        score = Typicality().learnt(model, Batch(truth.evidence.sample((500,))), 1, encode=as_it_is)
        mode = Batch(truth.evidence.mean.unsqueeze(0))
        assert score.entropy == pytest.approx(float(truth.evidence.entropy()), abs=5 * math.sqrt(10 / 500))
        expected = abs(float(-truth.evidence.log_prob(mode.x)) - score.entropy)
        assert float(score(model, mode, 1, encode=as_it_is)) == pytest.approx(expected)
        assert expected > 9

    def test_it_must_have_learnt(self) -> None:
        with pytest.raises(UsageError, match="known rows"):
            Typicality()(image_model(), images(2))


class TestComplexity:
    def test_it_is_the_surprise_less_the_code(self) -> None:
        model, batch = image_model(), images(3)
        bits = torch.tensor([code_length(image) for image in as_bytes(batch.x)])
        expected = LogEvidence()(model, batch, 5) - bits * math.log(2)
        torch.testing.assert_close(Complexity()(model, batch, 5), expected)

    def test_a_filter_finds_what_deflate_alone_does_not(self) -> None:
        """A slope of greys is nothing but its step to Paeth's and the neighbours' predictors."""
        rows, columns = np.mgrid[:64, :64]
        slope = (((3 * rows + 5 * columns) * 7) % 256).astype(np.uint8)[None]
        assert code_length(slope) < 8 * len(zlib.compress(slope.tobytes(), 9)) / 3

    def test_every_filter_can_be_undone(self) -> None:
        """The residuals tell the image: put together in order, with what they were predicted from."""
        image = np.random.default_rng(0).integers(0, 256, (2, 5, 6)).astype(np.uint8)
        left, above, corner = _shifted(image, 0, 1), _shifted(image, 1, 0), _shifted(image, 1, 1)
        for predict in PREDICTORS:
            residual = image - predict(left, above, corner)
            found = np.zeros((2, 6, 7), np.uint8)
            for row in range(1, 6):
                for column in range(1, 7):
                    near = found[:, row, column - 1], found[:, row - 1, column], found[:, row - 1, column - 1]
                    guess = predict(*(value[:, None, None] for value in near))[:, 0, 0]
                    found[:, row, column] = residual[:, row - 1, column - 1] + guess
            assert np.array_equal(found[:, 1:, 1:], image)

    def test_bytes_and_greys_are_the_same_image(self) -> None:
        x = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
        assert np.array_equal(as_bytes(x), as_bytes(x / 255))

    def test_tables_are_refused_and_other_values(self) -> None:
        with pytest.raises(UsageError, match="images"):
            Complexity()(build("vae", (6,)).model, Batch(torch.rand(2, 6)))
        with pytest.raises(DataError, match="row 1 "):
            as_bytes(torch.tensor([[[0.5]], [[math.nan]]]))


class TestShares:
    @pytest.mark.parametrize(("weigh", "score"), [(by_posterior, LogEvidence()), (evenly, NegativeElbo())])
    @pytest.mark.parametrize("recipe", ["vae", "hvae", "gm_vae"])
    def test_they_sum_to_the_score_they_explain(self, weigh: object, score: LogEvidence, recipe: str) -> None:
        model, x = build(recipe, (6,), seed=0).model, torch.rand(4, 6)
        found = shares(model, Batch(x), 20, seed=2, weigh=weigh)
        assert found.columns.shape == (4, 6)
        torch.testing.assert_close(found.total, score(model, Batch(x), 20, seed=2), **PLACES)

    def test_of_the_exact_posterior_they_are_its_expectations_and_its_divergence(self) -> None:
        truth = LinearGaussian.random()
        x = truth.evidence.sample((3,))
        found = shares(truth.model(truth.inexact.normal("x")), Batch(x), 200_000, encode=as_it_is)
        at = truth.exact.at(x)
        spread = (truth.W @ truth.exact.covariance @ truth.W.T).diagonal()
        off = (x - at.mean @ truth.W.T - truth.b).square() + spread
        expected = 0.5 * off / truth.s**2 + math.log(truth.s * math.sqrt(2 * math.pi))
        torch.testing.assert_close(found.columns, expected, rtol=0.03, atol=0.03)
        torch.testing.assert_close(found.latent, truth.kl(truth.exact, x), rtol=0.03, atol=0.03)

    def test_the_odd_column_has_the_largest_share(self) -> None:
        truth = LinearGaussian(torch.zeros(5, 1).double(), torch.zeros(5).double(), 1.0)
        x = torch.zeros(1, 5).double()
        x[0, 3] = 8.0
        found = shares(truth.model(truth.exact.normal("x")), Batch(x), 5, encode=as_it_is)
        assert int(found.columns.argmax()) == 3
        assert float(found.columns[0, 3] - found.columns[0, 0]) == pytest.approx(32.0)

    def test_pixels_have_shares_of_their_own(self) -> None:
        model, batch = image_model(), images(3)
        found = shares(model, batch, 5)
        assert found.columns.shape == (3, 1, 16, 16)
        torch.testing.assert_close(found.total, LogEvidence()(model, batch, 5), **PLACES)

    def test_a_missing_cell_has_no_share_and_the_others_sum_to_the_score(self) -> None:
        model = holed()
        x = torch.randn(3, 4)
        x[0, 1] = x[2, 0] = x[2, 3] = math.nan
        found = shares(model, Batch(x), 30)
        assert torch.equal(found.columns == 0, x.isnan())
        torch.testing.assert_close(found.total, LogEvidence()(model, Batch(x), 30), **PLACES)

    def test_of_a_mixed_table_with_holes(self) -> None:
        """Numbers, levels and an order: shares sum to the score, holes have none, and a row does not see the others."""
        x = torch.stack([torch.randn(12), torch.arange(12) % 3.0, torch.arange(12) % 4.0], 1)
        kinds = (("numeric", ()), ("categorical", ("a", "b", "c")), ("ordinal", (1, 2, 3, 4)))
        marginals = [marginal_of(kind, levels, column) for (kind, levels), column in zip(kinds, x.T, strict=True)]
        x[0, 0] = x[1, 1] = x[2, 2] = x[2, 0] = math.nan
        model = build("vae", TableForm(tuple(marginals)), latent=2, hidden=(8,), seed=0).model
        found = shares(model, Batch(x), 10)
        assert torch.equal(found.columns == 0, x.isnan())
        torch.testing.assert_close(found.total, LogEvidence()(model, Batch(x), 10), **PLACES)
        for name in ("log_evidence", "reconstruction", "latent", "likelihood_regret"):
            whole = SCORES[name](model, Batch(x), 4)
            torch.testing.assert_close(SCORES[name](model, Batch(x[:3]), 4), whole[:3], **PLACES)

    def test_of_an_image_with_holes(self) -> None:
        form = ArrayForm((1, 16, 16), holes=True)
        model, x = build("vae", form, latent=2, hidden=(8,), seed=0).model, torch.rand(3, 1, 16, 16)
        x[:, :, 3:6] = math.nan
        found = shares(model, Batch(x), 10)
        assert torch.equal(found.columns == 0, x.isnan())
        torch.testing.assert_close(found.total, LogEvidence()(model, Batch(x), 10), **PLACES)

    def test_what_cannot_be_has_all_of_the_share(self) -> None:
        class Never(Columns):
            def column_log_prob(self, x: Tensor) -> Tensor:
                return super().column_log_prob(x) + torch.tensor([0.0, 0.0, 0.0, -math.inf])

        class Impossible(Decoder):
            def forward(self, context: Context) -> Columns:
                return Never(super().forward(context).base_dist, 1, validate_args=False)

        model = VAE(Impossible(), z=Latent(standard_normal(2), Encoder()))
        found = shares(model, Batch(torch.ones(1, 4)), 10)
        assert found.columns.isinf().tolist() == [[False, False, False, True]]
        assert found.latent.isfinite().all()
        assert found.total.tolist() == LogEvidence()(model, Batch(torch.ones(1, 4)), 10).tolist() == [math.inf]

    def test_missing_cells_of_a_plain_likelihood_are_left_out(self) -> None:
        normal = Independent(Normal(torch.zeros(1, 2, 3), 2.0), 1)
        x = torch.tensor([[[0.0, math.nan, 1.0], [math.nan, 2.0, 3.0]]])
        found = column_log_prob(normal, x)
        assert torch.equal(found == 0, x.isnan())
        whole = normal.base_dist.log_prob(x.nan_to_num())
        assert torch.equal(found, whole.masked_fill(x.isnan(), 0.0))

    def test_a_likelihood_that_is_no_product_is_refused(self) -> None:
        with pytest.raises(UsageError, match="product over columns"):
            shares(correlated(), Batch(torch.rand(2, 4)))


class Columns(Independent):
    """A product over columns, in which what is missing is left out."""

    def column_log_prob(self, x: Tensor) -> Tensor:
        return self.base_dist.log_prob(x.nan_to_num()).masked_fill(x.isnan(), 0.0)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.column_log_prob(x).sum(-1)


class Decoder(Conditional):
    """A likelihood of four columns that knows missing cells."""

    given = ("z",)

    def forward(self, context: Context) -> Columns:
        loc = context["z"].repeat(1, 1, 2)
        return Columns(Normal(loc, torch.ones_like(loc), validate_args=False), 1, validate_args=False)


class Encoder(Conditional):
    """A posterior that reads what is there."""

    given = ("x",)

    def forward(self, context: Context) -> Independent:
        seen = context["x"].nan_to_num()
        return Independent(Normal((seen[..., :2] + seen[..., 2:]) / 3, 0.6), 1)


def holed() -> VAE:
    return VAE(Decoder(), z=Latent(standard_normal(2), Encoder()))


def correlated() -> VAE:
    truth = LinearGaussian.random()
    whole = LinearGaussian.random(2, 4).exact.full_normal("z")
    assert isinstance(whole, Parametric)
    return VAE(whole, z=Latent(standard_normal(2), truth.exact.full_normal("x"))).float()


class TestReference:
    def test_p_values_are_uniform_where_rows_are_exchangeable(self) -> None:
        """Over many references of 19 and one new row, each of the 20 values comes as often as any other."""
        trials, n = 4000, 19
        scores = torch.randn(trials, n + 1)
        found = torch.cat([Reference(row[:-1]).p_values(row[-1:]) for row in scores])
        counts = torch.bincount((found * (n + 1)).round().long(), minlength=n + 2)[1:]
        expected = trials / (n + 1)
        assert float(((counts - expected) ** 2 / expected).sum()) < 19 + 5 * math.sqrt(2 * 19)

    def test_ties_count_as_at_least_as_odd(self) -> None:
        assert Reference(torch.tensor([1.0, 2.0, 2.0])).p_values(torch.tensor([2.0, 2.1])).tolist() == [0.75, 0.25]

    @pytest.mark.parametrize("contamination", [0.01, 0.05, 0.1, 0.3, 0.9])
    @pytest.mark.parametrize("n", [5, 19, 99, 100])
    def test_above_the_threshold_is_a_p_value_no_larger(self, n: int, contamination: float) -> None:
        reference = Reference(torch.randn(n).round(decimals=1))
        new = torch.cat([torch.randn(200), reference.scores]).double()
        flagged = new > reference.threshold(contamination)
        assert torch.equal(flagged, reference.p_values(new) <= contamination + 1e-12)

    def test_a_score_that_is_no_number_has_no_p_value(self) -> None:
        assert Reference(torch.zeros(3)).p_values(torch.tensor([math.nan])).isnan().all()

    def test_faults(self) -> None:
        with pytest.raises(DataError, match="hold out"):
            Reference(torch.zeros(0))
        with pytest.raises(DataError, match="row 1"):
            Reference(torch.tensor([0.0, math.nan]))
        with pytest.raises(UsageError, match="between 0 and 1"):
            Reference(torch.zeros(3)).threshold(0.0)


class TestEnsemble:
    def models(self) -> list[VAE]:
        return [build("vae", (6,), latent=2, seed=seed).model for seed in range(3)]

    def test_densities_are_mixed(self) -> None:
        models, x = self.models(), torch.rand(4, 6)
        each = torch.stack([-LogEvidence()(model, Batch(x), 10) for model in models])
        expected = -each.exp().mean(0).log()
        torch.testing.assert_close(Ensemble.of(models)(Batch(x), 10), expected, **EXACT)

    def test_a_mixture_of_densities_is_a_density(self) -> None:
        """Summed over all binary rows, exp(-score) of the ensemble is 1, as that of each member is."""
        rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6)
        found = torch.stack([Ensemble.of(self.models())(Batch(rows), 400, seed) for seed in range(10)])
        sums = (-found).exp().sum(1)
        assert abs(float(sums.mean()) - 1) < 5 * float(sums.std()) / math.sqrt(10) < 0.05

    def test_densities_may_be_averaged_too(self) -> None:
        models, x = self.models(), torch.rand(4, 6)
        ensemble = Ensemble.of(models, pool=Average())
        torch.testing.assert_close(ensemble(Batch(x), 10), ensemble.each(Batch(x), 10).mean(0))
        assert (ensemble(Batch(x), 10) >= Ensemble.of(models)(Batch(x), 10)).all()

    def test_other_scores_are_averaged(self) -> None:
        models, x = self.models(), torch.rand(4, 6)
        ensemble = Ensemble.of(models, Reconstruction())
        torch.testing.assert_close(ensemble(Batch(x), 10), ensemble.each(Batch(x), 10).mean(0))

    def test_each_learns_of_its_own_model(self) -> None:
        models, x = self.models(), torch.rand(40, 6)
        ensemble = Ensemble.of(models, Typicality()).learnt(Batch(x), 5)
        entropies = [member.scorer.entropy for member in ensemble.members]
        assert entropies == [float(LogEvidence()(model, Batch(x), 5).mean()) for model in models]

    def test_it_has_members_of_one_mind(self) -> None:
        with pytest.raises(UsageError, match="none"):
            Ensemble(())
        with pytest.raises(UsageError, match="LogEvidence, NegativeElbo"):
            Ensemble(tuple(Member(self.models()[0], score) for score in (LogEvidence(), NegativeElbo())))


def test_an_unknown_score_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'typicality'"):
        SCORES["typicalty"]


def test_the_score_of_a_row_is_what_the_evaluation_says_of_it() -> None:
    model, x = build("vae", (6,), latent=2, seed=0).model, torch.rand(3, 6)
    with seeded(0):
        alone = log_evidence(model, x[1:2], 7).log_evidence
    torch.testing.assert_close(LogEvidence()(model, Batch(x), 7)[1:2], -alone, **PLACES)
