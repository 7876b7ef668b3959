package kv

import (
	"bytes"
	"errors"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// Current returns the entry that made a Create, CAS or DeleteIf fail with
// ErrConflict, if the backend's answer contained it. told is false if it did not,
// and for every other error: read the key then. If told is true and [Entry.Exists]
// is false, the key did not exist.
//
// The entry is the key's state at the moment at which the backend refused the
// write. It belongs to the caller.
func Current(err error) (e Entry, told bool) {
	var c *conflict
	if !errors.As(err, &c) {
		return Entry{}, false
	}
	e = c.current
	e.Value = bytes.Clone(e.Value)
	return e, true
}

// conflict is the cause in an error of the code Conflict that carries the
// present entry.
type conflict struct {
	current Entry
	cause   error // may be nil
}

func (c *conflict) Error() string {
	if c.cause == nil {
		return ""
	}
	return c.cause.Error()
}

func (c *conflict) Unwrap() error { return c.cause }

// addCurrent returns the error of a refused write with the present entry in
// it, if the driver returned that.
func addCurrent(err error, key string, current *driver.Entry) error {
	var e *fairlead.Error
	if current == nil || !errors.As(err, &e) || e.Code != fairlead.Conflict {
		return err
	}
	told := *e
	told.Err = &conflict{
		current: Entry{Key: key, Value: current.Value, Revision: Revision(current.Revision)},
		cause:   e.Err,
	}
	return &told
}
