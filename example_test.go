package fairlead_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	_ "fairlead.dev/providers/memory"
)

// Errors are compared with codes; a code says what a repetition would do.
func ExampleCode() {
	err := fairlead.Annotate(fairlead.Errorf(fairlead.UnknownOutcome, "no answer came"), "kv.Put", "redis")
	fmt.Println(err)
	fmt.Println(errors.Is(err, fairlead.UnknownOutcome), fairlead.CodeOf(err).Retry())
	fmt.Println(fairlead.Unavailable.Retry(), fairlead.Invalid.Retry())
	// Output:
	// kv.Put: redis: unknown outcome: no answer came
	// true after read
	// safe never
}

// A program demands guarantees when it opens a facet. The error names every
// one that does not hold, and why.
func ExampleRequirement() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close(ctx)
	_, err = kv.Open(ctx, p, "users", kv.Require(kv.CAS, fairlead.DurableFsync))
	fmt.Println(errors.Is(err, fairlead.Unsupported))
	fmt.Println(err)
	// Output:
	// true
	// kv.Open: memory: unsupported: store "users": required of kv but missing: DurableFsync: all data is lost when the process ends; use a provider that stores data, for example redis://
}

// A wrong URL is an error that names what is accepted.
func ExampleOpen() {
	_, err := fairlead.Open(context.Background(), "mem://?historie=5")
	fmt.Println(errors.Is(err, fairlead.Invalid))
	// Output: true
}

// Closers closes the store before its provider.
func ExampleClosers_program() {
	ctx := context.Background()
	var opened fairlead.Closers
	defer func() { fmt.Println(opened.CloseWithin(10 * time.Second)) }()

	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		fmt.Println(err)
		return
	}
	opened.Add(p)
	users, err := kv.Open(ctx, p, "users")
	if err != nil {
		fmt.Println(err)
		return
	}
	opened.Add(users)
	// Output: <nil>
}
