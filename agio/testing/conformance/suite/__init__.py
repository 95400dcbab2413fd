"""Every test class of the suite."""

from agio.testing.conformance.suite.append import (
    TestAppend,
    TestAtomicEntry,
    TestEndingRun,
    TestFence,
    TestProjection,
)
from agio.testing.conformance.suite.approvals import TestApprovals, TestListApprovals, TestSnapshots
from agio.testing.conformance.suite.cancellation import TestCancelledCalls
from agio.testing.conformance.suite.catalog import (
    TestClock,
    TestCountSince,
    TestEveryKind,
    TestFind,
    TestFindUntil,
    TestUniqueFields,
    TestUpdatingAtOnce,
)
from agio.testing.conformance.suite.checkpoints import (
    TestAnnotateCheckpoint,
    TestCheckpoints,
    TestSessionCheckpoints,
)
from agio.testing.conformance.suite.connection import TestConnection
from agio.testing.conformance.suite.conversation import (
    TestBranchEnd,
    TestLineage,
    TestReadMessages,
    TestSharedPast,
)
from agio.testing.conformance.suite.create_run import (
    TestCreateRun,
    TestCreateRunOnBusyBranch,
    TestCreateRunOnce,
    TestOwnedFromAcceptance,
)
from agio.testing.conformance.suite.deletion import TestDeleteRun, TestDependents
from agio.testing.conformance.suite.hints import TestHints
from agio.testing.conformance.suite.journal import TestHead, TestReadEntries
from agio.testing.conformance.suite.leases import (
    TestBeat,
    TestClaimAbandoned,
    TestClaimingAtOnce,
    TestClaimingSeveral,
    TestClaimReady,
    TestCommands,
    TestFairness,
    TestLimits,
    TestSweep,
)
from agio.testing.conformance.suite.listing import TestCountLive, TestListRuns, TestRunFilter, TestRunPaging
from agio.testing.conformance.suite.queueing import TestBranchQueue
from agio.testing.conformance.suite.repeating import TestWritesAgain
from agio.testing.conformance.suite.rooms import TestRooms
from agio.testing.conformance.suite.round_trip import TestRoundTrip
from agio.testing.conformance.suite.tenancy import TestTenancy
from agio.testing.conformance.suite.update_run import TestBranchHold, TestUpdateRun
from agio.testing.conformance.suite.upkeep import (
    TestCollect,
    TestDeleteUnneeded,
    TestEndedRuns,
    TestRewriteEntries,
)

__all__ = [
    "TestAnnotateCheckpoint",
    "TestAppend",
    "TestApprovals",
    "TestAtomicEntry",
    "TestBeat",
    "TestBranchEnd",
    "TestBranchHold",
    "TestBranchQueue",
    "TestCancelledCalls",
    "TestCheckpoints",
    "TestClaimAbandoned",
    "TestClaimReady",
    "TestClaimingAtOnce",
    "TestClaimingSeveral",
    "TestClock",
    "TestCollect",
    "TestCommands",
    "TestConnection",
    "TestCountLive",
    "TestCountSince",
    "TestCreateRun",
    "TestCreateRunOnBusyBranch",
    "TestCreateRunOnce",
    "TestDeleteRun",
    "TestDeleteUnneeded",
    "TestDependents",
    "TestEndedRuns",
    "TestEndingRun",
    "TestEveryKind",
    "TestFairness",
    "TestFence",
    "TestFind",
    "TestFindUntil",
    "TestHead",
    "TestHints",
    "TestLimits",
    "TestLineage",
    "TestListApprovals",
    "TestListRuns",
    "TestOwnedFromAcceptance",
    "TestProjection",
    "TestReadEntries",
    "TestReadMessages",
    "TestRewriteEntries",
    "TestRooms",
    "TestRoundTrip",
    "TestRunFilter",
    "TestRunPaging",
    "TestSessionCheckpoints",
    "TestSharedPast",
    "TestSnapshots",
    "TestSweep",
    "TestTenancy",
    "TestUniqueFields",
    "TestUpdateRun",
    "TestUpdatingAtOnce",
    "TestWritesAgain",
]
