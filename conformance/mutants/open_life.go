package mutants

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
)

// leak is how long a leaked goroutine lives. It is short, so that none is left at
// the end of the mutants' tests.
const leak = 15 * time.Second

// openLifeMutants break rules about opening, awaiting and closing.
var openLifeMutants = []Mutant{
	{
		Name: "open-await-waits", Breaks: "Await waits although the generation is an old one", CaughtBy: cases("open/await-differs"),
		Open: withHooks(hooks{await: func(ctx context.Context, next awaiting, _ uint64) (fairlead.Description, error) {
			return next(ctx, 1)
		}}),
	},
	{
		Name: "open-await-impatient", Breaks: "Await answers though nothing changed", CaughtBy: cases("open/await-blocks"),
		Open: withHooks(hooks{await: func(ctx context.Context, next awaiting, _ uint64) (fairlead.Description, error) {
			return next(ctx, 0)
		}}),
	},
	{
		Name: "open-await-context-ignored", Breaks: "Await does not look at its context", CaughtBy: cases("open/await-cancel"),
		Open: withHooks(hooks{await: func(ctx context.Context, next awaiting, generation uint64) (fairlead.Description, error) {
			return next(context.WithoutCancel(ctx), generation)
		}}),
	},
	{
		Name: "open-await-outlives", Breaks: "Await is not woken by Close", CaughtBy: cases("open/await-closed"),
		Open: withHooks(hooks{await: func(ctx context.Context, next awaiting, generation uint64) (fairlead.Description, error) {
			d, err := next(ctx, generation)
			if fairlead.CodeOf(err) == fairlead.Closed {
				<-ctx.Done()
			}
			return d, err
		}}),
	},
	{
		Name: "open-one-for-all", Breaks: "all Opens return the same provider", CaughtBy: cases("open/second"),
		Open: func() conformance.Opener {
			var only atomic.Pointer[fairlead.Provider]
			return func(ctx context.Context) (fairlead.Provider, error) {
				if p := only.Load(); p != nil {
					if _, err := (*p).Describe(ctx); err == nil { // not closed by an earlier run
						return *p, nil
					}
				}
				p, err := fairlead.Open(ctx, "mem://")
				if err == nil {
					only.Store(&p)
				}
				return p, err
			}
		}(),
	},
	{
		Name: "open-five-at-most", Breaks: "five providers at most can be open at once", CaughtBy: cases("open/concurrent"),
		Open: atMost(5),
	},
	{
		Name: "open-close-once", Breaks: "a second Close fails", CaughtBy: cases("open/close-twice"),
		Open: withHooksOf(func() hooks {
			var closed atomic.Bool
			return hooks{close: func(ctx context.Context, next func(context.Context) error) error {
				if closed.Swap(true) {
					return fairlead.Errorf(fairlead.Closed, "the provider is closed")
				}
				return next(ctx)
			}}
		}),
	},
	{
		Name: "open-close-does-nothing", Breaks: "Close releases nothing",
		CaughtBy: cases(
			"open/closed", "kv/closed-provider", "kv/closed-provider-wakes", "pubsub/closed-provider", "pubsub/closed-provider-wakes",
			"rpc/closed-provider", "rpc/closed-provider-wakes", "config/closed-provider", "config/closed-provider-wakes",
		),
		Open: withHooks(hooks{close: func(context.Context, func(context.Context) error) error { return nil }}),
	},
	{
		Name: "open-cancelled-misnamed", Breaks: "an Open with a canceled context fails with Internal", CaughtBy: cases("open/cancelled"),
		Open: func(ctx context.Context) (fairlead.Provider, error) {
			if ctx.Err() != nil {
				return nil, fairlead.Errorf(fairlead.Internal, "unexpected end of the conversation")
			}
			return fairlead.Open(ctx, "mem://")
		},
	},
	{
		Name: "open-handle-leaks", Breaks: "every store leaves a goroutine", CaughtBy: cases("open/goroutines-handles"),
		Open: withHooks(hooks{store: func(context.Context, *string) error {
			go time.Sleep(leak)
			return nil
		}}),
	},
	{
		Name: "open-provider-leaks", Breaks: "every provider leaves a goroutine", CaughtBy: cases("open/goroutines-providers"),
		Open: func(ctx context.Context) (fairlead.Provider, error) {
			go time.Sleep(leak)
			return fairlead.Open(ctx, "mem://")
		},
	},
	{
		Name: "open-as-anything", Breaks: "As is true for every type", CaughtBy: cases("open/as-foreign"),
		Open: func(ctx context.Context) (fairlead.Provider, error) {
			p, err := fairlead.Open(ctx, "mem://")
			if err != nil {
				return nil, err
			}
			return asAnything{p.(whole)}, nil
		},
	},
	{
		Name: "open-names-folded", Breaks: "names are folded to lower case", CaughtBy: cases("kv/names", "config/names", "pubsub/names"),
		Open: withHooks(hooks{store: fold, topic: fold}),
	},
	{
		Name: "open-dots-refused", Breaks: "names with a dot are refused", CaughtBy: cases("open/bad-names"),
		Open: withHooks(hooks{topic: func(_ context.Context, name *string) error {
			if strings.Contains(*name, ".") {
				return fairlead.Errorf(fairlead.Invalid, "no dots in a topic's name")
			}
			return nil
		}}),
	},
}

type asAnything struct{ whole }

func (asAnything) As(any) bool { return true }

func fold(_ context.Context, name *string) error {
	*name = strings.ToLower(*name)
	return nil
}

// atMost opens memory providers, n at once.
func atMost(n int64) conformance.Opener {
	var open atomic.Int64
	return func(ctx context.Context) (fairlead.Provider, error) {
		if open.Add(1) > n {
			open.Add(-1)
			return nil, fairlead.Errorf(fairlead.Unavailable, "%d connections at most", n)
		}
		return withHooks(hooks{close: func(ctx context.Context, next func(context.Context) error) error {
			open.Add(-1)
			return next(ctx)
		}})(ctx)
	}
}

// openErrorMutants return wrong errors.
var openErrorMutants = []Mutant{
	{
		Name: "open-error-vendors-op", Breaks: "errors name the vendor's command as the operation", CaughtBy: cases("open/error-fields"),
		Open: withStoreErrors(func(e *fairlead.Error) error { e.Op = "GET"; return e }),
	},
	{
		Name: "open-error-twice", Breaks: "errors say their code twice", CaughtBy: cases("open/error-fields"),
		Open: withStoreErrors(func(e *fairlead.Error) error { e.Message = "kv.Get: memory: " + e.Error(); return e }),
	},
	{
		Name: "open-error-bare", Breaks: "errors are no *fairlead.Error", CaughtBy: cases("open/error-is", "open/retry-advice"),
		Open: withStoreErrors(func(e *fairlead.Error) error { return fmt.Errorf("refused: %v", e) }),
	},
	{
		Name: "open-error-retryable", Breaks: "a missing key is said to be unavailable", CaughtBy: cases("open/retry-advice"),
		Open: withStoreErrors(func(e *fairlead.Error) error { e.Code = fairlead.Unavailable; return e }),
	},
	{
		Name: "open-cancel-unseen", Breaks: "a listing does not look at its context", CaughtBy: cases("open/facet-cancelled"),
		Open: withStore(func(s driver.Store) driver.Store { return endlessList{s} }),
	},
}

// withStoreErrors opens memory providers whose stores' errors are changed.
func withStoreErrors(change func(*fairlead.Error) error) conformance.Opener {
	return withStore(func(s driver.Store) driver.Store {
		return store{Store: s, out: func(_ driver.Op, r *driver.Result) {
			if e, ok := r.Err.(*fairlead.Error); ok {
				own := *e
				r.Err = change(&own)
			}
		}}
	})
}

type endlessList struct{ driver.Store }

func (s endlessList) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	return s.Store.List(context.WithoutCancel(ctx), r)
}
