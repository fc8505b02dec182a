"""What can go wrong below the shell. One class per remedy; the values are attributes.

HarnessError
├── InvalidEvent            a value that the feature set does not allow
├── FeatureSetError         a declaration that cannot be used
├── LinkUnavailable         try again later: nothing is wrong with what was sent
└── AppendError             the log refuses; sending the same again will not help
    ├── WriterForked        two histories under one writer
    ├── SequenceGap         a batch was skipped
    ├── Rewound             the log is behind what it had acknowledged
    ├── WrongLog            another log than the one that was agreed on
    └── CorruptBatch        the bytes are not those that their digest names
"""


class HarnessError(Exception):
    """Base of all errors that a user can act on.

    The message has three parts: what happened with its values, what was expected, what to do.
    `exit_code` is what the command line returns for it.
    """

    exit_code = 1

    def __init__(self, happened: str, expected: str, remedy: str) -> None:
        super().__init__(f"{happened} {expected} {remedy}")
        self.happened = happened
        self.expected = expected
        self.remedy = remedy
