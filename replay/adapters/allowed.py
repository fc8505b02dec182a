"""Our own allow-list for model files: what may be built from one, and nothing else.

The list is ours and not the loader's or the file's: a list that comes with the file protects nobody.
Left out on purpose: whatever reads files or hands data to user code (text vectorizers, pickled
callables, methods), and whatever memorises its training rows at length (neighbours, kernels).
"""

_SKLEARN: dict[str, str] = {
    "_loss._loss": """CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss
        CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss
        CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss""",
    "_loss.link": "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit",
    "_loss.loss": """AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss
        HalfPoissonLoss HalfSquaredError HuberLoss PinballLoss""",
    "calibration": "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration",
    "compose._column_transformer": "ColumnTransformer make_column_selector",
    "compose._target": "TransformedTargetRegressor",
    "decomposition._pca": "PCA",
    "decomposition._truncated_svd": "TruncatedSVD",
    "discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
    "dummy": "DummyClassifier DummyRegressor",
    "ensemble._bagging": "BaggingClassifier BaggingRegressor",
    "ensemble._forest": """ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier
        RandomForestRegressor""",
    "ensemble._gb": "GradientBoostingClassifier GradientBoostingRegressor",
    "ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "ensemble._hist_gradient_boosting.gradient_boosting": """HistGradientBoostingClassifier
        HistGradientBoostingRegressor""",
    "ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "ensemble._stacking": "StackingClassifier StackingRegressor",
    "ensemble._voting": "VotingClassifier VotingRegressor",
    "ensemble._weight_boosting": "AdaBoostClassifier AdaBoostRegressor",
    "feature_selection._univariate_selection": "SelectKBest SelectPercentile",
    "feature_selection._variance_threshold": "VarianceThreshold",
    "impute._base": "MissingIndicator SimpleImputer",
    "isotonic": "IsotonicRegression",
    "linear_model._base": "LinearRegression",
    "linear_model._coordinate_descent": "ElasticNet ElasticNetCV Lasso LassoCV",
    "linear_model._glm.glm": "GammaRegressor PoissonRegressor TweedieRegressor",
    "linear_model._huber": "HuberRegressor",
    "linear_model._logistic": "LogisticRegression LogisticRegressionCV",
    "linear_model._perceptron": "Perceptron",
    "linear_model._quantile": "QuantileRegressor",
    "linear_model._ridge": "Ridge RidgeCV RidgeClassifier RidgeClassifierCV",
    "linear_model._stochastic_gradient": "SGDClassifier SGDRegressor",
    "naive_bayes": "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB",
    "neural_network._multilayer_perceptron": "MLPClassifier MLPRegressor",
    "neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "pipeline": "FeatureUnion Pipeline",
    "preprocessing._data": """Binarizer MaxAbsScaler MinMaxScaler Normalizer PolynomialFeatures
        PowerTransformer QuantileTransformer RobustScaler StandardScaler""",
    "preprocessing._discretization": "KBinsDiscretizer",
    "preprocessing._encoders": "OneHotEncoder OrdinalEncoder",
    "preprocessing._function_transformer": "FunctionTransformer",
    "preprocessing._label": "LabelBinarizer LabelEncoder",
    "preprocessing._polynomial": "PolynomialFeatures SplineTransformer",
    "preprocessing._target_encoder": "TargetEncoder",
    "tree._classes": "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
    "tree._tree": "Tree",
    "utils._bunch": "Bunch",
    "utils.validation": "check_array",
}
_OTHERS = """
    builtins.bool builtins.dict builtins.float builtins.int builtins.list builtins.set builtins.slice
    builtins.str builtins.tuple collections.OrderedDict functools.partial
    numpy.bool numpy.dtype numpy.float32 numpy.float64 numpy.int32 numpy.int64 numpy.int8 numpy.intp
    numpy.ndarray numpy.object_ numpy.str_ numpy.uint32 numpy.uint64 numpy.uint8
    numpy.ma.MaskedArray numpy.random._generator.Generator numpy.random.mtrand.RandomState
    numpy.abs numpy.absolute numpy.cbrt numpy.exp numpy.expm1 numpy.log numpy.log10 numpy.log1p numpy.log2
    numpy.reciprocal numpy.sign numpy.sqrt numpy.square
    scipy.interpolate._bsplines.BSpline scipy.sparse._csr.csr_matrix scipy.special._ufuncs.expit
    scipy.special._ufuncs.logit scipy._lib.array_api_compat.numpy._aliases.asarray
"""

ALLOWED_TYPES = frozenset(
    {f"sklearn.{module}.{name}" for module, names in _SKLEARN.items() for name in names.split()}
    | set(_OTHERS.split())
)

# How a node of the file becomes an object. Left out: methods, operators, constructor calls, and the
# readers of older protocols, which check less.
_NODES = """
    CachedNode DTypeNode DictNode FunctionNode JsonNode ListNode LossNode MaskedArrayNode NdArrayNode
    ObjectNode PartialNode RandomGeneratorNode RandomStateNode SetNode SliceNode SparseMatrixNode TreeNode
    TupleNode TypeNode
"""
ALLOWED_NODES = frozenset(_NODES.split())
