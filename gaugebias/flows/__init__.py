"""The limit of no noise: parametrisations, mirror potentials, exact trajectories, certificates."""

from ._deep._deep_product import (
    DeepProduct as DeepProduct,
    TiedProduct as TiedProduct,
    identical_start as identical_start,
    perturbed_start as perturbed_start,
    random_start as random_start,
)
from ._deep._deep_times import flow_time as flow_time
from ._deep._effective_rank import (
    EigenTrajectories as EigenTrajectories,
    effective_rank as effective_rank,
    eigen_trajectories as eigen_trajectories,
    spectral_effective_rank as spectral_effective_rank,
)
from ._deep._matrix_losses import (
    MatrixEstimation as MatrixEstimation,
    MatrixSensing as MatrixSensing,
    gaussian_measurements as gaussian_measurements,
    symmetric_eigen as symmetric_eigen,
)
from ._deep._spectral_descent import (
    SpectralPath as SpectralPath,
    critical_learning_rate as critical_learning_rate,
    spectral_descent as spectral_descent,
    stable_learning_rate as stable_learning_rate,
)
from ._deep._step_bracket import StepBracket as StepBracket, step_bracket as step_bracket
from ._deep._stopping_window import (
    StoppingWindow as StoppingWindow,
    stopping_window as stopping_window,
)
from ._latent._latent import LatentVariableFlow as LatentVariableFlow
from ._latent._latent_invariants import (
    LatentInvariants as LatentInvariants,
    latent_invariants as latent_invariants,
)
from ._latent._latent_phase import (
    LATENT_SCALINGS as LATENT_SCALINGS,
    LatentPrediction as LatentPrediction,
    LatentScaling as LatentScaling,
    latent_prediction as latent_prediction,
    latent_start as latent_start,
)
from ._latent._mechanism import (
    Mechanism as Mechanism,
    MechanismPhase as MechanismPhase,
    classify_mechanism as classify_mechanism,
    latent_mechanism as latent_mechanism,
)
from ._mixtures._chart import AbsoluteChart as AbsoluteChart, AbstractChart as AbstractChart
from ._mixtures._collision import Collision as Collision
from ._mixtures._divergence import (
    MixtureDivergence as MixtureDivergence,
    NegativeLogLikelihood as NegativeLogLikelihood,
    PopulationDivergence as PopulationDivergence,
    mixture_divergence as mixture_divergence,
)
from ._mixtures._fisher import (
    FisherInformation as FisherInformation,
    fisher_information as fisher_information,
)
from ._mixtures._mixture import GaussianMixture as GaussianMixture
from ._mixtures._mixture_descent import (
    MixtureDescent as MixtureDescent,
    mixture_descent as mixture_descent,
)
from ._mixtures._mixture_em import (
    MIXTURE_RESULTS as MIXTURE_RESULTS,
    MixtureFit as MixtureFit,
    mixture_em as mixture_em,
)
from ._mixtures._mixture_flow import (
    mixture_flow as mixture_flow,
    population_flow as population_flow,
)
from ._mixtures._mixture_model import MixtureModel as MixtureModel
from ._mixtures._network import (
    BoundedChart as BoundedChart,
    NetworkLoss as NetworkLoss,
    NetworkModel as NetworkModel,
    ShallowNetwork as ShallowNetwork,
)
from ._mixtures._network_flow import network_flow as network_flow
from ._mixtures._neuron_collision import neuron_collision as neuron_collision
from ._mixtures._ordered_charts import (
    FlooredChart as FlooredChart,
    OrderedChart as OrderedChart,
)
from ._mixtures._relative_charts import (
    CentredChart as CentredChart,
    FixedChart as FixedChart,
    RelativeChart as RelativeChart,
)
from ._mixtures._simplex_chart import SimplexChart as SimplexChart
from ._mixtures._singularity import (
    SingularityReport as SingularityReport,
    singularity as singularity,
)
from ._parametrisations._elementwise import (
    AbstractElementwise as AbstractElementwise,
    Reparametrised as Reparametrised,
)
from ._parametrisations._maps import (
    Arcsinh as Arcsinh,
    Exponential as Exponential,
    Identity as Identity,
    Power as Power,
    Sine as Sine,
    Sinh as Sinh,
    Tan as Tan,
    Tanh as Tanh,
)
from ._parametrisations._parametrisation import AbstractParametrisation as AbstractParametrisation
from ._parametrisations._redundant import (
    PowerDifference as PowerDifference,
    Product as Product,
    SignedDifference as SignedDifference,
)
from ._parametrisations._user import Elementwise as Elementwise
from ._potentials._bregman import (
    BregmanSolution as BregmanSolution,
    minimise_bregman as minimise_bregman,
)
from ._potentials._certificate import Certificate as Certificate, certificate as certificate
from ._potentials._difference import (
    DifferenceEntropy as DifferenceEntropy,
    PowerEntropy as PowerEntropy,
)
from ._potentials._entropy import (
    HyperbolicEntropy as HyperbolicEntropy,
    decayed_entropy as decayed_entropy,
    psi_alpha as psi_alpha,
)
from ._potentials._kernel_rich import kernel_rich as kernel_rich
from ._potentials._neuron_entropy import NeuronEntropy as NeuronEntropy
from ._potentials._potential import (
    AbstractPotential as AbstractPotential,
    AbstractSeparablePotential as AbstractSeparablePotential,
)
from ._potentials._regimes import (
    distance_potential as distance_potential,
    log_kernel_alpha as log_kernel_alpha,
    log_rich_alpha as log_rich_alpha,
    wide_potential as wide_potential,
)
from ._potentials._separable import Scaled as Scaled, SeparablePotential as SeparablePotential
from ._trajectories._catapult import (
    CatapultPath as CatapultPath,
    catapult as catapult,
    catapult_regime as catapult_regime,
    catapult_start as catapult_start,
)
from ._trajectories._commutation import (
    Commutation as Commutation,
    commutation as commutation,
    dual_flow as dual_flow,
    mirror_hessian as mirror_hessian,
)
from ._trajectories._decay import (
    decay_bracket as decay_bracket,
    decayed_potential as decayed_potential,
    decayed_start as decayed_start,
)
from ._trajectories._descent import (
    DescentPath as DescentPath,
    EffectiveInitialisation as EffectiveInitialisation,
    gradient_descent as gradient_descent,
    sde_initialisation as sde_initialisation,
)
from ._trajectories._flow import (
    Descent as Descent,
    FlowPath as FlowPath,
    divergence_along as divergence_along,
    gradient_flow as gradient_flow,
    natural_gradient_flow as natural_gradient_flow,
)
from ._trajectories._kernels import (
    kernel_distance as kernel_distance,
    tangent_kernel as tangent_kernel,
)
from ._trajectories._lambda_balanced import (
    LambdaBalanced as LambdaBalanced,
    lambda_balanced_start as lambda_balanced_start,
)
from ._trajectories._layers import (
    LayerDiagnostics as LayerDiagnostics,
    feature_alignment as feature_alignment,
    layer_diagnostics as layer_diagnostics,
)
from ._trajectories._losses import LinearModel as LinearModel
from ._trajectories._neuron import (
    SingleNeuron as SingleNeuron,
    neuron_limit as neuron_limit,
    neuron_start as neuron_start,
)
from ._trajectories._sensing import (
    CommutingSensing as CommutingSensing,
    commuting_sensing as commuting_sensing,
)
