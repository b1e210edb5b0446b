from ._compare import compare as compare
from ._false_alarm import family_false_alarm as family_false_alarm
from ._protocols import OneDimensionalLaw as OneDimensionalLaw
from ._row import (
    CONSISTENT as CONSISTENT,
    REJECTED as REJECTED,
    Row as Row,
    Verdict as Verdict,
    verdict_word as verdict_word,
)
from ._virial import (
    VirialResult as VirialResult,
    virial_terms as virial_terms,
    virial_test as virial_test,
)
