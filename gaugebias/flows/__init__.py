"""The limit of no noise: parametrisations, mirror potentials, exact trajectories, certificates."""

from ._bregman import (
    BregmanSolution as BregmanSolution,
    minimise_bregman as minimise_bregman,
)
from ._catapult import (
    CatapultPath as CatapultPath,
    catapult as catapult,
    catapult_regime as catapult_regime,
    catapult_start as catapult_start,
)
from ._certificate import Certificate as Certificate, certificate as certificate
from ._chart import AbsoluteChart as AbsoluteChart, AbstractChart as AbstractChart
from ._collision import Collision as Collision
from ._commutation import (
    Commutation as Commutation,
    commutation as commutation,
    dual_flow as dual_flow,
    mirror_hessian as mirror_hessian,
)
from ._deep_product import (
    DeepProduct as DeepProduct,
    TiedProduct as TiedProduct,
    identical_start as identical_start,
    perturbed_start as perturbed_start,
    random_start as random_start,
)
from ._deep_times import flow_time as flow_time
from ._descent import (
    DescentPath as DescentPath,
    EffectiveInitialisation as EffectiveInitialisation,
    gradient_descent as gradient_descent,
    sde_initialisation as sde_initialisation,
)
from ._difference import DifferenceEntropy as DifferenceEntropy, PowerEntropy as PowerEntropy
from ._effective_rank import (
    EigenTrajectories as EigenTrajectories,
    effective_rank as effective_rank,
    eigen_trajectories as eigen_trajectories,
    spectral_effective_rank as spectral_effective_rank,
)
from ._elementwise import (
    AbstractElementwise as AbstractElementwise,
    Reparametrised as Reparametrised,
)
from ._entropy import (
    HyperbolicEntropy as HyperbolicEntropy,
    decayed_entropy as decayed_entropy,
    psi_alpha as psi_alpha,
)
from ._fisher import (
    FisherInformation as FisherInformation,
    fisher_information as fisher_information,
    population_flow as population_flow,
)
from ._flow import (
    Descent as Descent,
    FlowPath as FlowPath,
    divergence_along as divergence_along,
    gradient_flow as gradient_flow,
    natural_gradient_flow as natural_gradient_flow,
)
from ._kernel_rich import kernel_rich as kernel_rich
from ._kernels import kernel_distance as kernel_distance, tangent_kernel as tangent_kernel
from ._lambda_balanced import (
    LambdaBalanced as LambdaBalanced,
    lambda_balanced_start as lambda_balanced_start,
)
from ._latent import LatentVariableFlow as LatentVariableFlow
from ._latent_invariants import (
    LatentInvariants as LatentInvariants,
    latent_invariants as latent_invariants,
)
from ._latent_phase import (
    LATENT_SCALINGS as LATENT_SCALINGS,
    LatentPrediction as LatentPrediction,
    LatentScaling as LatentScaling,
    latent_prediction as latent_prediction,
    latent_start as latent_start,
)
from ._layers import (
    LayerDiagnostics as LayerDiagnostics,
    feature_alignment as feature_alignment,
    layer_diagnostics as layer_diagnostics,
)
from ._losses import LinearModel as LinearModel
from ._maps import (
    Arcsinh as Arcsinh,
    Exponential as Exponential,
    Identity as Identity,
    Power as Power,
    Sine as Sine,
    Sinh as Sinh,
    Tan as Tan,
    Tanh as Tanh,
)
from ._matrix_losses import (
    MatrixEstimation as MatrixEstimation,
    MatrixSensing as MatrixSensing,
    gaussian_measurements as gaussian_measurements,
    symmetric_eigen as symmetric_eigen,
)
from ._mechanism import (
    Mechanism as Mechanism,
    MechanismPhase as MechanismPhase,
    classify_mechanism as classify_mechanism,
    latent_mechanism as latent_mechanism,
)
from ._mixture import (
    GaussianMixture as GaussianMixture,
    PopulationDivergence as PopulationDivergence,
    mixture_divergence as mixture_divergence,
)
from ._mixture_descent import (
    MixtureDescent as MixtureDescent,
    mixture_descent as mixture_descent,
)
from ._mixture_em import (
    MIXTURE_RESULTS as MIXTURE_RESULTS,
    MixtureFit as MixtureFit,
    mixture_em as mixture_em,
)
from ._mixture_model import MixtureModel as MixtureModel
from ._neuron import (
    SingleNeuron as SingleNeuron,
    neuron_limit as neuron_limit,
    neuron_start as neuron_start,
)
from ._neuron_entropy import NeuronEntropy as NeuronEntropy
from ._parametrisation import AbstractParametrisation as AbstractParametrisation
from ._potential import (
    AbstractPotential as AbstractPotential,
    AbstractSeparablePotential as AbstractSeparablePotential,
)
from ._redundant import (
    PowerDifference as PowerDifference,
    Product as Product,
    SignedDifference as SignedDifference,
)
from ._relative_charts import (
    CentredChart as CentredChart,
    FixedChart as FixedChart,
    FlooredChart as FlooredChart,
    OrderedChart as OrderedChart,
    RelativeChart as RelativeChart,
)
from ._separable import Scaled as Scaled, SeparablePotential as SeparablePotential
from ._simplex_chart import SimplexChart as SimplexChart
from ._singularity import SingularityReport as SingularityReport, singularity as singularity
from ._spectral_descent import (
    SpectralPath as SpectralPath,
    critical_learning_rate as critical_learning_rate,
    spectral_descent as spectral_descent,
    stable_learning_rate as stable_learning_rate,
)
from ._step_bracket import StepBracket as StepBracket, step_bracket as step_bracket
from ._stopping_window import (
    StoppingWindow as StoppingWindow,
    stopping_window as stopping_window,
)
from ._user import Elementwise as Elementwise
