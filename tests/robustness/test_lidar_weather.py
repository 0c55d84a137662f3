import numpy as np
import pytest
from scipy.integrate import quad

from pipeline.robustness.lidar_weather import fog, fog_response, snow, snowfall, transmission, wet_ground
from tests.robustness.sweeps import HEIGHT, along_one_beam, distances, moved, road_and_wall

# Written down once more, so that a changed constant is seen: Robo3D's and Hahner's severities.
ALPHA, BETA, BETA_0 = (0.01, 0.03, 0.06), (0.008, 0.05, 0.2), 1e-6 / np.pi
FILLED = (6.944e-7, 1.736e-6, 4.340e-6)  # share of the air that is snow
WATER_SHARE = (1 / 6, 5 / 6, 1.0)


def backscatter(alpha: float, range_: float) -> float:
    """What fog returns at one range, by adaptive quadrature over the range of scattering instead of time."""

    def scattered(r: float) -> float:
        pulse = np.sin(np.pi * (range_ - r) / (299_792_458.0 * 20e-9)) ** 2
        return float(pulse * min((r - 0.9) / 0.1, 1) * np.exp(-2 * alpha * r) / r**2)

    first = max(0.9, range_ - 299_792_458.0 * 20e-9)
    return float(quad(scattered, first, range_, points=[max(first, min(1.0, range_))])[0]) * 2 / 299_792_458.0


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_fog_follows_the_equations(severity: int) -> None:
    alpha, beta = ALPHA[severity - 1], BETA[severity - 1]
    ranges = np.linspace(1.5, 100, 500)
    points = along_one_beam(ranges, 0.1)
    foggy = fog(points, severity, np.random.default_rng(0))
    found = [backscatter(alpha, r) for r in np.arange(2, 8, 0.05)]
    peak, strongest = 2 + 0.05 * int(np.argmax(found)), max(found)
    hard = 0.1 * np.exp(-2 * alpha * ranges)
    soft = (
        0.1 * ranges**2 * beta / BETA_0 * np.array([strongest if r > peak else backscatter(alpha, r) for r in ranges])
    )
    clear = np.abs(soft / hard - 1) > 0.01
    assert (moved(points, foggy) == (soft > hard))[clear].all() and clear.mean() > 0.98
    replaced = moved(points, foggy)
    np.testing.assert_allclose(foggy[~replaced, 3], hard[~replaced], rtol=1e-5)
    np.testing.assert_allclose(foggy[replaced, 3], np.minimum(soft, 1)[replaced], rtol=0.01)
    place = distances(foggy)[replaced]
    assert (place < ranges[replaced]).all()
    assert peak / 2.05 < place.min() < peak / 1.8 and peak * 1.8 < place.max() < peak * 2.05
    np.testing.assert_allclose(foggy[:, :3] / distances(foggy)[:, None], points[:, :3] / ranges[:, None], atol=1e-6)
    np.testing.assert_array_equal(foggy[:, 4], points[:, 4])


def test_fog_swallows_the_far_first_and_nearer_the_thicker_it_is() -> None:
    ranges = np.linspace(1.5, 100, 2000)
    reach = []
    for severity in (1, 2, 3):
        replaced = moved(points := along_one_beam(ranges, 0.3), fog(points, severity, np.random.default_rng(1)))
        reach.append(ranges[replaced].min())
        assert replaced[ranges >= reach[-1]].all()
    np.testing.assert_allclose(reach, [54.5, 20.6, 10.7], atol=0.5)


def test_the_response_of_fog_grows_up_to_its_peak() -> None:
    for alpha in ALPHA:
        ranges, power = fog_response(alpha)
        assert (np.diff(power) > 0).all() and ranges[0] == 0.9 and power[0] == 0
        for k in (20, 50, len(ranges) - 1):
            assert power[k] == pytest.approx(backscatter(alpha, ranges[k]), rel=0.01)


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_snow_in_the_air(severity: int) -> None:
    size, count, alpha = snowfall(severity)
    diameters = np.random.default_rng(0).exponential(size, 400_000)
    assert count * np.pi / 6 * (diameters**3).mean() == pytest.approx(FILLED[severity - 1], rel=0.05)
    assert alpha == pytest.approx(count * np.pi / 4 * (diameters**2).mean(), rel=0.02)


@pytest.mark.parametrize("severity", [1, 2, 3])
@pytest.mark.parametrize(("range_", "intensity"), [(12.0, 0.01), (30.0, 0.04)])
def test_snow_strikes_as_often_as_flakes_thrown_into_the_beam_do(
    severity: int, range_: float, intensity: float
) -> None:
    beams = 6000
    points = along_one_beam(np.full(beams, range_), intensity)
    snowy = snow(points, severity, np.random.default_rng(2))
    struck = moved(points, snowy)
    size, count, alpha = snowfall(severity)
    rng = np.random.default_rng(3)
    half = 1.5e-3  # rad
    flakes = rng.poisson(count * np.pi * half**2 * range_**3 / 3, beams)
    beam = np.repeat(np.arange(beams), flakes)
    r = range_ * rng.random(len(beam)) ** (1 / 3)
    filled = np.minimum((rng.exponential(size, len(beam)) / (2 * half * r)) ** 2, 1)
    power = np.where(r > 1.0, 0.9 * filled * np.exp(-2 * alpha * r) / r**2, 0)
    target = 2.55 * intensity * np.exp(-2 * alpha * range_) / range_**2
    order = np.lexsort((-power, beam))
    strongest = order[np.unique(beam[order], return_index=True)[1]]
    wins = strongest[power[strongest] > target]
    expected = len(wins) / beams
    assert 0.02 < expected < 0.98
    assert struck.mean() == pytest.approx(expected, abs=4 * np.sqrt(2 * expected * (1 - expected) / beams))
    np.testing.assert_allclose(
        np.percentile(distances(snowy)[struck], [25, 50, 75]), np.percentile(r[wins], [25, 50, 75]), rtol=0.15
    )
    assert snowy[struck, 3].mean() == pytest.approx((power * r**2)[wins].mean() / 2.55, rel=0.25)
    np.testing.assert_allclose(snowy[~struck, 3], intensity * np.exp(-2 * alpha * range_), rtol=1e-5)
    assert (distances(snowy)[struck] < range_).all() and (distances(snowy)[struck] > 0.99).all()
    np.testing.assert_allclose(snowy[:, :3] / distances(snowy)[:, None], points[:, :3] / range_, atol=1e-6)


def test_water_lets_in_what_fresnel_says() -> None:
    assert transmission(np.array([1.0]))[0] == pytest.approx(1 - (0.33 / 2.33) ** 2)
    assert transmission(np.array([0.0]))[0] == pytest.approx(0, abs=1e-12)
    # At Brewster's angle, tan = n, only the wave across the plane of incidence is mirrored.
    cosine = 1 / np.sqrt(1 + 1.33**2)
    assert transmission(np.array([cosine]))[0] == pytest.approx(1 - ((1.33**2 - 1) / (1.33**2 + 1)) ** 2 / 2)


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_wet_ground_follows_the_formula_and_spares_the_rest(severity: int) -> None:
    points = road_and_wall()
    points[:, 4] = np.arange(len(points))  # names every point
    wet = wet_ground(points, severity, np.random.default_rng(0))
    road = np.abs(points[:, 2] + HEIGHT) < 0.2  # the foot of the wall gets wet too
    share = WATER_SHARE[severity - 1]
    left = 1 - share + share * (transmission(-points[:, 2] / distances(points)) / 1.33) ** 2
    kept = wet[:, 4].astype(np.int64)
    np.testing.assert_allclose(wet[:, 3], np.where(road, points[:, 3] * left, points[:, 3])[kept], rtol=1e-3)
    np.testing.assert_array_equal(wet[:, :3], points[kept, :3])
    lost = np.setdiff1d(np.arange(len(points)), kept)
    assert road[lost].all()
    # All rings of this road lie in bins of their own but the nearest: the floor is 0.2 of a mean of about 0.31.
    floor = (points[:, 3] * left)[road & (distances(points) > 10)] < 0.2 * 0.31
    assert len(lost) > 0 or severity == 1
    assert np.isin(np.flatnonzero(road & (distances(points) > 10)), lost).mean() == pytest.approx(
        floor.mean(), abs=0.03
    )


def test_the_wetter_the_more_is_lost_and_the_far_before_the_near() -> None:
    points = road_and_wall()
    road = np.abs(points[:, 2] + HEIGHT) < 0.01
    kept = [np.isin(points[:, 0], wet_ground(points, s, np.random.default_rng(0))[:, 0]) for s in (1, 2, 3)]
    shares = [k[road].mean() for k in kept]
    assert shares[0] > shares[1] + 0.05 > shares[2] + 0.08
    near, far = (road & (distances(points) < 8)), (road & (distances(points) > 20))
    assert kept[2][near].mean() > kept[2][far].mean() + 0.3


def test_without_a_road_nothing_is_wet() -> None:
    points = along_one_beam(np.linspace(2, 50, 300), 0.3)
    np.testing.assert_array_equal(wet_ground(points, 3, np.random.default_rng(0)), points)
