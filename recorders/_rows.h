/* What _rows.c reads the rows of a payload into, and _transpose.c makes the buffers of columns of. */
#ifndef RECORDERS_ROWS_H
#define RECORDERS_ROWS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/* The kinds of columns, by the codes of recorders/hotpath.py. */
enum { FLOATS = 'f', INTEGERS = 'i', BOOLEANS = 'b', TEXTS = 's', INSTANTS = 't', BINARIES = 'y', LISTS = 'l',
       STATUSES = 'u' };

/* A column as far as it is read. `values` has eight bytes a row, or a bit of a boolean; of texts, binaries and lists
 * the offsets of their ends. `starts` says where in the payload such a value begins. */
typedef struct {
    char kind, spelling;         /* of instants: 0 while none is read, 1 for integers, 2 for timestamps */
    PyObject *valid, *values;    /* bytes; `valid` is NULL while there is no null */
    PyObject *statuses;          /* a list of (row, msgpack) */
    uint32_t *starts;
    Py_ssize_t nulls;
    int32_t total;
} Column;

typedef struct {
    const unsigned char *begin, *at, *end;
    Py_ssize_t events, width;
} Rows;

static inline uint64_t
big8(const unsigned char *at)
{
    return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 | (uint64_t)at[3] << 32
           | (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 | (uint64_t)at[6] << 8 | (uint64_t)at[7];
}

/* 1 if all rows are read and nothing stands behind them, 0 to decline, -1 with an error. */
int read_rows(Rows *from, Column *columns);

#endif
