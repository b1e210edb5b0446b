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
from ._latent_variable import LatentVariable as LatentVariable
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
from ._mechanisms import layer_alignment as layer_alignment, mechanism as mechanism
from ._neuron import (
    SingleNeuron as SingleNeuron,
    neuron_limit as neuron_limit,
    neuron_start as neuron_start,
)
from ._neuron_entropy import NeuronEntropy as NeuronEntropy
from ._parametrisation import AbstractParametrisation as AbstractParametrisation
from ._phase_diagram import Phase as Phase, phase as phase
from ._potential import (
    AbstractPotential as AbstractPotential,
    AbstractSeparablePotential as AbstractSeparablePotential,
)
from ._redundant import (
    PowerDifference as PowerDifference,
    Product as Product,
    SignedDifference as SignedDifference,
)
from ._separable import Scaled as Scaled, SeparablePotential as SeparablePotential
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
