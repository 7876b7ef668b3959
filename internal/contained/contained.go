// Package contained calls functions of the program so that nothing that they do
// ends a goroutine of Fairlead.
package contained

import (
	"fmt"
	"runtime/debug"
)

// Failure is the error of a function that did not return.
type Failure struct {
	Panic any    // nil if the function ended its goroutine
	Stack []byte // of the panic
}

// Error says what happened, as the end of a sentence about the function.
func (f *Failure) Error() string {
	if f.Panic == nil {
		return "ended its goroutine (runtime.Goexit, as t.FailNow does)"
	}
	return fmt.Sprintf("panicked: %v", f.Panic)
}

// Kind says what happened without the value of a panic, which may hold a secret.
func (f *Failure) Kind() string {
	if f.Panic == nil {
		return f.Error()
	}
	return fmt.Sprintf("panicked with a %T", f.Panic)
}

// Call calls f in a goroutine of its own and waits for it. It returns f's error, or
// a *Failure if f does not return.
func Call(f func() error) error {
	result := make(chan error, 1)
	go func() {
		var err error = &Failure{}
		defer func() {
			if v := recover(); v != nil {
				err = &Failure{Panic: v, Stack: debug.Stack()}
			}
			result <- err
		}()
		err = f()
	}()
	return <-result
}
