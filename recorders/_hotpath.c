/* The hot path, compiled: what recorder.py and events.py do for a plain event, in one call (docs/adr/0034).
 *
 * A plain event has exact built-in types, a whole snapshot, and neither sampling nor statuses. Whatever else
 * comes is declined before anything was done: the Python beside it takes the event, or says why not. So no
 * rule stands here alone, and tests/laws/test_hot_path.py holds the two together.
 *
 * No code of a caller runs between the first look at a snapshot and the last, and nothing gives up the
 * interpreter's lock. That is why borrowed references are safe here, why no thread can change a snapshot
 * half-way, and why a recorder's door cannot close between the look at it and the append.
 */
#include "_cut.h"
#include "_doors.h"
#include "_plain.h"
#include <structmember.h>
#include <time.h>

#ifdef Py_GIL_DISABLED
#error "The free-threaded build has no lock to rely on: it takes the Python path."
#endif
#ifdef PYPY_VERSION
#error "PyPy compiles the Python path by itself."
#endif

#define FORM 7          /* what hotpath.py and this hand each other: another number for every other form */
#define SLOT_BYTES 1024 /* as in recorders/queues.py: a larger event takes several slots of the queue */
#define PID_CHECK_EVERY 256

/* The places of events.ENVELOPE, whose names are the keywords of `record`. */
enum { DECISION_ID, OCCURRED_AT, UNIT, MODEL, MODEL_VERSION, SCORE, DECISION, PROPENSITY, INCLUSION,
       LATENCY_US, TRACE_ID, ENVELOPE_SIZE };

/* What `record` needs of a recorder's outbox, in the order of hotpath.py. */
enum { OUTBOX, DECISIONS, APPEND, COUNT, MODEL_NAME, VERSION_NAME, PREFIX, DOOR_SIZE };

typedef struct {
    PyObject_HEAD
    PyObject *names, *kinds, *envelope; /* kinds by the codes of hotpath.py: of the fields, of the envelope */
    Field *fields;
    Py_ssize_t count;
    Limits limits;
    PyObject *door; /* a tuple, or NULL while `record` may not queue from here */
    long long number; /* of the last decision that came without an id */
    unsigned int recorded;
} HotPath;

/* The event whose envelope is written, with the snapshot behind it; NULL to decline. */
static inline PyObject *
finished(const HotPath *hot, Writer *to, const unsigned char *begin, PyObject *features)
{
    if (!put_snapshot(to, &hot->limits, hot->fields, hot->count, features))
        return NULL;
    Py_ssize_t size = to->at - begin;
    return size > hot->limits.event ? NULL : PyBytes_FromStringAndSize((const char *)begin, size);
}

static PyObject *
declined(void)
{
    PyErr_Clear(); /* half a surrogate pair, or no memory: the Python path meets it again, and says so */
    Py_RETURN_NONE;
}

static PyObject *
hot_encode(HotPath *hot, PyObject *const *args, Py_ssize_t given)
{
    unsigned char begin[EVENT_BYTES];
    Writer to = {begin, begin + EVENT_BYTES};
    if (given != 2 || !PyTuple_CheckExact(args[1]) || PyTuple_GET_SIZE(args[1]) != ENVELOPE_SIZE)
        return declined();
    put_array(&to, ENVELOPE_SIZE + hot->count + 1);
    const char *kinds = PyBytes_AS_STRING(hot->envelope);
    for (Py_ssize_t place = 0; place < ENVELOPE_SIZE; place++)
        if (!put_value(&to, &hot->limits, kinds[place], PyTuple_GET_ITEM(args[1], place)))
            return declined();
    PyObject *event = finished(hot, &to, begin, args[0]);
    return event ? event : declined();
}

/* The next number of a decision that comes without an id. */
static PyObject *
hot_number(HotPath *hot, PyObject *Py_UNUSED(none))
{
    return PyLong_FromLongLong(++hot->number);
}

/* Let `record` queue through this door until another is given; None closes. */
static PyObject *
hot_open(HotPath *hot, PyObject *door)
{
    if (door != Py_None) {
        if (!PyTuple_CheckExact(door) || PyTuple_GET_SIZE(door) != DOOR_SIZE)
            return PyErr_Format(PyExc_TypeError, "Expected a tuple of %d, or None.", DOOR_SIZE);
        PyObject *prefix = PyTuple_GET_ITEM(door, PREFIX);
        if (!PyUnicode_CheckExact(prefix) || !PyUnicode_IS_COMPACT_ASCII(prefix))
            return PyErr_Format(PyExc_TypeError, "Expected a prefix in ASCII.");
    }
    Py_XSETREF(hot->door, door == Py_None ? NULL : Py_NewRef(door));
    Py_RETURN_NONE;
}

static PyObject *
hot_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *names, *kinds, *envelope;
    Limits limits;
    if (!PyArg_ParseTuple(args, "O!SS(nnnn)", &PyTuple_Type, &names, &kinds, &envelope, &limits.text,
                          &limits.list, &limits.identifier, &limits.event))
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    if (count > FIELDS_MAX || PyBytes_GET_SIZE(kinds) != count || PyBytes_GET_SIZE(envelope) != ENVELOPE_SIZE)
        return PyErr_Format(PyExc_ValueError, "Expected a kind for each field, and %d more.", ENVELOPE_SIZE);
    HotPath *hot = (HotPath *)type->tp_alloc(type, 0);
    if (hot == NULL)
        return NULL;
    hot->names = Py_NewRef(names);
    hot->kinds = Py_NewRef(kinds);
    hot->envelope = Py_NewRef(envelope);
    hot->limits = limits;
    hot->fields = PyMem_Calloc((size_t)count + 1, sizeof(Field));
    for (; hot->fields && hot->count < count; hot->count++) {
        Field *field = &hot->fields[hot->count];
        field->key = PyTuple_GET_ITEM(names, hot->count);
        field->kind = PyBytes_AS_STRING(kinds)[hot->count];
        field->name = PyUnicode_AsUTF8AndSize(field->key, &field->length);
        if (field->name == NULL)
            break;
    }
    if (hot->count < count) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        Py_CLEAR(hot);
    }
    return (PyObject *)hot;
}

static void
hot_dealloc(HotPath *hot)
{
    PyTypeObject *type = Py_TYPE(hot);
    PyMem_Free(hot->fields);
    Py_XDECREF(hot->names);
    Py_XDECREF(hot->kinds);
    Py_XDECREF(hot->envelope);
    Py_XDECREF(hot->door);
    type->tp_free(hot);
    Py_DECREF(type);
}

/* `record`: a function of Python's that is only called when the event is not plain, or cannot be queued now.
 * There is one, for as long as its class: what it refers to is not shown to the garbage collector. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *function, *words, *attributes;
    PyTypeObject *hot_type;
} Fast;

/* Where `words` has what: attributes of a recorder and its outbox, then the names of the envelope. */
enum { HOT, OWN_OUTBOX, SLOTS, KEYWORDS };

static inline PyObject *
word(const Fast *fast, int which)
{
    return PyTuple_GET_ITEM(fast->words, which);
}

/* The id of a decision that comes without one. Its number counts once the event is queued. */
static PyObject *
minted(const HotPath *hot, PyObject *door)
{
    PyObject *prefix = PyTuple_GET_ITEM(door, PREFIX);
    char digits[24], *first = digits + sizeof digits;
    for (long long rest = hot->number + 1; rest; rest /= 10)
        *--first = (char)('0' + rest % 10);
    Py_ssize_t before = PyUnicode_GET_LENGTH(prefix), size = digits + sizeof digits - first;
    PyObject *id = PyUnicode_New(before + size, 127);
    if (id != NULL) {
        memcpy(PyUnicode_1BYTE_DATA(id), PyUnicode_1BYTE_DATA(prefix), (size_t)before);
        memcpy(PyUnicode_1BYTE_DATA(id) + before, first, (size_t)size);
    }
    return id;
}

/* Sort keywords into the envelope. Python makes each word once, so that equal ones are the same object. */
static int
sort_keywords(const Fast *fast, PyObject *const *values, PyObject *keywords, PyObject **envelope)
{
    for (Py_ssize_t place = 0; keywords && place < PyTuple_GET_SIZE(keywords); place++) {
        int found = 0;
        while (found < ENVELOPE_SIZE && word(fast, KEYWORDS + found) != PyTuple_GET_ITEM(keywords, place))
            found++;
        if (found == ENVELOPE_SIZE)
            return 0;
        envelope[found] = values[place];
    }
    return 1;
}

/* Whether the outbox takes an event now: `slots` is 0 while it is closed. */
static int
has_slot(const Fast *fast, PyObject *door)
{
    PyObject *slots = PyObject_GetAttr(PyTuple_GET_ITEM(door, OUTBOX), word(fast, SLOTS));
    int room = slots && PyObject_Size(PyTuple_GET_ITEM(door, DECISIONS)) < PyLong_AsSsize_t(slots);
    Py_XDECREF(slots);
    return room && !PyErr_Occurred();
}

/* The event of one decision, or NULL when it is not plain. */
static PyObject *
event_at_once(const HotPath *hot, PyObject *id, PyObject *const *envelope, PyObject *features)
{
    struct timespec now;
    unsigned char begin[EVENT_BYTES];
    Writer to = {begin, begin + EVENT_BYTES};
    const char *kinds = PyBytes_AS_STRING(hot->envelope);
    put_array(&to, ENVELOPE_SIZE + hot->count + 1);
    if (!put_value(&to, &hot->limits, kinds[DECISION_ID], id) || !timespec_get(&now, TIME_UTC))
        return NULL;
    for (int place = OCCURRED_AT; place < ENVELOPE_SIZE; place++) {
        if (!has_room(&to, HEAD_BYTES))
            return NULL;
        if (place == OCCURRED_AT)
            put_int(&to, now.tv_sec * 1000000LL + now.tv_nsec / 1000);
        else if (envelope[place] == NULL && place == INCLUSION)
            put_float(&to, 1.0);
        else if (!put_value(&to, &hot->limits, kinds[place], envelope[place] ? envelope[place] : Py_None))
            return NULL;
    }
    return finished(hot, &to, begin, features);
}

static int
queue(PyObject *door, PyObject *event)
{
    PyObject *append = PyTuple_GET_ITEM(door, APPEND), *done = PyObject_CallOneArg(append, event);
    if (done == NULL)
        return 0;
    Py_DECREF(done);
    /* From here on nothing is declined, or the event would be there twice. */
    for (Py_ssize_t slots = (PyBytes_GET_SIZE(event) - 1) / SLOT_BYTES; slots > 0; slots--) {
        PyObject *further = PyBytes_FromStringAndSize(NULL, 0);
        Py_XDECREF(further ? PyObject_CallOneArg(append, further) : NULL);
        Py_XDECREF(further);
    }
    Py_XDECREF(PyIter_Next(PyTuple_GET_ITEM(door, COUNT)));
    PyErr_Clear();
    return 1;
}

static PyObject *
record(const Fast *fast, HotPath *hot, PyObject *const *args, PyObject *keywords)
{
    PyObject *given[ENVELOPE_SIZE] = {NULL}, *id;
    if (++hot->recorded % PID_CHECK_EVERY == 0) {
        PyObject *outbox = PyObject_CallMethodNoArgs(args[0], word(fast, OWN_OUTBOX));
        if (outbox == NULL)
            return NULL;
        Py_DECREF(outbox);
    }
    PyObject *door = hot->door;
    if (!door || !sort_keywords(fast, args + 2, keywords, given) || given[OCCURRED_AT])
        return NULL;
    if (!has_slot(fast, door))
        return NULL;
    for (int place = MODEL; place <= MODEL_VERSION; place++)
        if (given[place] == NULL || given[place] == Py_None)
            given[place] = PyTuple_GET_ITEM(door, MODEL_NAME + place - MODEL);
    Py_INCREF(door);
    int mints = given[DECISION_ID] == NULL || given[DECISION_ID] == Py_None;
    id = mints ? minted(hot, door) : Py_NewRef(given[DECISION_ID]);
    PyObject *event = id ? event_at_once(hot, id, given, args[1]) : NULL;
    if (event && queue(door, event))
        hot->number += mints;
    else
        Py_CLEAR(id);
    Py_XDECREF(event);
    Py_DECREF(door);
    return id;
}

static PyObject *
fast_call(Fast *fast, PyObject *const *args, size_t flags, PyObject *keywords)
{
    Py_ssize_t given = PyVectorcall_NARGS(flags);
    PyObject *id = NULL;
    if (given == 2) {
        PyObject *hot = PyObject_GetAttr(args[0], word(fast, HOT));
        if (hot && Py_TYPE(hot) == fast->hot_type)
            id = record(fast, (HotPath *)hot, args, keywords);
        Py_XDECREF(hot);
        if (id == NULL && PyErr_Occurred()) {
            if (!PyErr_ExceptionMatches(PyExc_Exception))
                return NULL; /* an interrupt passes, as through every guard */
            PyErr_Clear();
        }
    }
    return id ? id : PyObject_Vectorcall(fast->function, args, (size_t)given, keywords);
}

static PyObject *
fast_bound(PyObject *fast, PyObject *recorder, PyObject *Py_UNUSED(type))
{
    return recorder ? PyMethod_New(fast, recorder) : Py_NewRef(fast);
}

static PyObject *
fast_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *function, *words, *hot_type;
    if (!PyArg_ParseTuple(args, "OO!O!", &function, &PyTuple_Type, &words, &PyType_Type, &hot_type))
        return NULL;
    if (PyTuple_GET_SIZE(words) != KEYWORDS + ENVELOPE_SIZE)
        return PyErr_Format(PyExc_ValueError, "Expected %d words.", KEYWORDS + ENVELOPE_SIZE);
    Fast *fast = (Fast *)type->tp_alloc(type, 0);
    if (fast != NULL) {
        fast->call = (vectorcallfunc)fast_call;
        fast->function = Py_NewRef(function);
        fast->words = Py_NewRef(words);
        fast->hot_type = (PyTypeObject *)Py_NewRef(hot_type);
    }
    return (PyObject *)fast;
}

static void
fast_dealloc(Fast *fast)
{
    PyTypeObject *type = Py_TYPE(fast);
    Py_XDECREF(fast->function);
    Py_XDECREF(fast->words);
    Py_XDECREF(fast->attributes);
    Py_XDECREF(fast->hot_type);
    type->tp_free(fast);
    Py_DECREF(type);
}

static PyMethodDef hot_methods[] = {
    {"encode", (PyCFunction)(void (*)(void))hot_encode, METH_FASTCALL, NULL},
    {"number", (PyCFunction)hot_number, METH_NOARGS, NULL},
    {"open", (PyCFunction)hot_open, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot hot_slots[] = {
    {Py_tp_new, hot_new},
    {Py_tp_dealloc, hot_dealloc},
    {Py_tp_methods, hot_methods},
    {0, NULL},
};
static PyType_Spec hot_spec = {"recorders._hotpath.HotPath", sizeof(HotPath), 0, Py_TPFLAGS_DEFAULT,
                               hot_slots};

static PyMemberDef fast_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Fast, call), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Fast, attributes), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef fast_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot fast_slots[] = {
    {Py_tp_new, fast_new},
    {Py_tp_dealloc, fast_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, fast_bound},
    {Py_tp_members, fast_members},
    {Py_tp_getset, fast_getset},
    {0, NULL},
};
static PyType_Spec fast_spec = {"recorders._hotpath.Fast", sizeof(Fast), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL
                                    | Py_TPFLAGS_METHOD_DESCRIPTOR,
                                fast_slots};

static int
fill(PyObject *module)
{
    PyDateTime_IMPORT;
    if (PyDateTimeAPI == NULL)
        return -1;
    PyType_Spec *specs[] = {&hot_spec, &fast_spec};
    for (int place = 0; place < 2; place++) {
        PyObject *type = PyType_FromModuleAndSpec(module, specs[place], NULL);
        if (type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0)
            return -1;
        Py_DECREF(type);
    }
    return add_doors(module) < 0 ? -1 : PyModule_AddIntMacro(module, FORM);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_hotpath", NULL, 0, cut_methods, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__hotpath(void)
{
    return PyModuleDef_Init(&module);
}
