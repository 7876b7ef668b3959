package fairlead

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Code classifies an [Error]. A Code is an error itself: use it as the target
// of errors.Is. The zero Code is not valid.
type Code uint8

// The codes. The numbers are fixed: they cross processes.
const (
	// NotFound: the key, topic or position that was asked for does not exist.
	NotFound Code = 1
	// Conflict: a condition of the write did not hold (create of an existing
	// key, stale revision, lost acknowledgement lease). Nothing was applied.
	Conflict Code = 2
	// UnknownOutcome: a write was handed to the backend and no answer came.
	// It may have been applied, may be applied later, or may never be.
	UnknownOutcome Code = 3
	// Unavailable: the backend cannot serve the call now (unreachable, out of
	// memory, no primary). A write that fails with it was not applied.
	Unavailable Code = 4
	// Unsupported: the provider does not claim what the call needs.
	Unsupported Code = 5
	// Invalid: an argument is wrong. The message names it and the fix.
	Invalid Code = 6
	// TooLarge: a limit is exceeded. The message says both numbers.
	TooLarge Code = 7
	// Compacted: the history that a watch or a subscription needs to continue
	// without a gap is gone. Missed changes cannot be read any more: read the
	// present state and start again from there.
	Compacted Code = 8
	// PermissionDenied: the backend refused the credentials or the operation.
	PermissionDenied Code = 9
	// DeadlineExceeded: the context's deadline passed before the call was
	// handed to the backend, or while a read was under way.
	DeadlineExceeded Code = 10
	// Canceled: like DeadlineExceeded, for a canceled context.
	Canceled Code = 11
	// Closed: the provider, store, topic, subscription or watcher is closed.
	Closed Code = 12
	// Internal: a bug of the provider, or an answer of the backend that the
	// provider does not understand.
	Internal Code = 13
)

var codeNames = map[Code]string{
	NotFound:         "not found",
	Conflict:         "conflict",
	UnknownOutcome:   "unknown outcome",
	Unavailable:      "unavailable",
	Unsupported:      "unsupported",
	Invalid:          "invalid",
	TooLarge:         "too large",
	Compacted:        "compacted",
	PermissionDenied: "permission denied",
	DeadlineExceeded: "deadline exceeded",
	Canceled:         "canceled",
	Closed:           "closed",
	Internal:         "internal",
}

// String returns the code's name in lower case.
func (c Code) String() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Error makes a Code usable as the target of errors.Is.
func (c Code) Error() string { return c.String() }

// Codes returns every code, in numerical order.
func Codes() []Code {
	codes := make([]Code, 0, len(codeNames))
	for c := NotFound; c <= Internal; c++ {
		codes = append(codes, c)
	}
	return codes
}

// Retry says what repeating a failed call would do.
type Retry uint8

const (
	// RetryNever: the same call fails again until somebody changes something.
	RetryNever Retry = iota
	// RetrySafe: nothing was applied; the same call may succeed later.
	RetrySafe
	// RetryAfterRead: read the present state first, then decide. Repeating a
	// write blindly may apply it twice or undo another writer's.
	RetryAfterRead
)

// String returns "never", "safe" or "after read".
func (r Retry) String() string {
	return [...]string{"never", "safe", "after read"}[r]
}

// Retry returns the advice for an error of this code.
func (c Code) Retry() Retry {
	switch c {
	case Unavailable, DeadlineExceeded, Canceled:
		return RetrySafe
	case UnknownOutcome, Conflict, Compacted:
		return RetryAfterRead
	default:
		return RetryNever
	}
}

// Error is the one error type of Fairlead.
//
// A driver returns it with Code and Err or Message set; the portable layer
// adds Op and Provider once, with [Annotate], and Object and Key where it knows them.
// It never holds a credential.
type Error struct {
	Code     Code
	Op       string // the portable operation, for example "kv.Put"
	Provider string // the provider's name, for example "redis"
	Object   string // what the call was about, for example `store "users"`; may be empty
	Key      string // the key in the object, for example of the store; may be empty
	Message  string // what is wrong and how to fix it; may be empty
	Err      error  // the cause, may be nil; does not cross a process, its text does
}

// Errorf returns an [*Error] with a formatted message. A %w verb sets the
// cause, as in fmt.Errorf.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns "op: provider: code: object, key: message". It leaves out a key
// that the message has, and cuts a long one.
func (e *Error) Error() string {
	text := e.text()
	parts := make([]string, 0, 5)
	for _, s := range []string{e.Op, e.Provider, e.Code.String(), e.subject(text), text} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// subject returns the object and the key, without what the text has already.
func (e *Error) subject(text string) string {
	var parts []string
	if e.Object != "" && !strings.Contains(text, e.Object) {
		parts = append(parts, e.Object)
	}
	if key := strconv.Quote(cutLongKey(e.Key)); e.Key != "" && !strings.Contains(text, key) {
		parts = append(parts, "key "+key)
	}
	return strings.Join(parts, ", ")
}

// maxKeyBytes is how many bytes of a key an error's text has.
const maxKeyBytes = 64

func cutLongKey(key string) string {
	if len(key) <= maxKeyBytes {
		return key
	}
	return strings.ToValidUTF8(key[:maxKeyBytes], "") + "…"
}

func (e *Error) text() string {
	if e.Message == "" && e.Err != nil {
		return e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the error's Code, or the context error that
// corresponds to it.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == DeadlineExceeded
	case context.Canceled:
		return e.Code == Canceled
	}
	code, ok := target.(Code)
	return ok && code == e.Code
}

// CodeOf returns the code of the [*Error] or Code in err's chain. It returns the
// corresponding code for a context error, Internal for any other error, and 0
// for nil.
func CodeOf(err error) Code {
	if err == nil {
		return 0 // before the variables below, which cost an allocation each
	}
	return codeOf(err)
}

func codeOf(err error) Code {
	var e *Error
	var c Code
	switch {
	case errors.As(err, &e):
		return e.Code
	case errors.As(err, &c):
		return c
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return Canceled
	default:
		return Internal
	}
}

// ContextError returns the end of ctx as an error with its code, Canceled or
// DeadlineExceeded, and nil while ctx has not ended. It is what a driver
// returns for a call whose context has ended. A context whose deadline has passed
// has ended, also if its timer has not fired yet.
func ContextError(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		deadline, ok := ctx.Deadline()
		if !ok || time.Now().Before(deadline) {
			return nil
		}
		err = context.DeadlineExceeded
	}
	return Errorf(CodeOf(err), "%w", err)
}

// Annotate returns err as an [*Error] that carries op and provider, and nil
// for nil. An op or provider that is already set stays: an error is wrapped
// once. The error passed in is not changed. Of several errors that were joined, the
// first [*Error] gives the code; the text has all of them, and errors.Is finds them.
func Annotate(err error, op, provider string) error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: CodeOf(err), Err: err}
	}
	annotated := *e
	if others := joinedWith(err, e); len(others) > 0 {
		annotated.Message, annotated.Err = strings.Join(append([]string{e.text()}, others...), "; and: "), err
	}
	if annotated.Op == "" {
		annotated.Op = op
	}
	if annotated.Provider == "" {
		annotated.Provider = provider
	}
	return &annotated
}

// joinedWith returns the texts of the errors with which e was joined in err.
func joinedWith(err error, e *Error) []string {
	for err != nil && err != error(e) {
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			err = errors.Unwrap(err)
			continue
		}
		var others []string
		for _, part := range joined.Unwrap() {
			var found *Error
			if errors.As(part, &found) && found == e {
				others = append(others, joinedWith(part, e)...)
			} else {
				others = append(others, part.Error())
			}
		}
		return others
	}
	return nil
}
