package mutants

import (
	"context"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// space is the space of a mutant's backend, which can be filled. It is its
// [conformance.Filler].
type space struct {
	used atomic.Bool
	kept bool // Free changes nothing
}

// Fill implements [conformance.Filler].
func (s *space) Fill(context.Context) error { s.used.Store(true); return nil }

// Free implements [conformance.Filler].
func (s *space) Free(context.Context) error { s.used.Store(s.kept); return nil }

func (s *space) full() bool { return s.used.Load() }

var errFull = fairlead.Errorf(fairlead.Unavailable, "the server is full: its limit is reached; delete data, or raise the limit")

// refuseMessages makes a broker refuse messages while there is no space.
func (s *space) refuseMessages(b broker) broker {
	send := b.send
	b.send = func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
		switch {
		case send != nil:
			return send(ctx, next, msgs)
		case s.full():
			return refusedWith(errFull, len(msgs))
		}
		return next(ctx, msgs)
	}
	return b
}

func refusedWith(err error, n int) []psdriver.SendResult {
	results := make([]psdriver.SendResult, n)
	for i := range results {
		results[i].Err = err
	}
	return results
}

// refuseWrites makes a store refuse writes, but not deletes, while there is no
// space.
func (s *space) refuseWrites(inner driver.Store) store {
	return store{
		each: func(op driver.Op) driver.Result {
			if s.full() && needsSpace(op) {
				return driver.Result{Err: errFull}
			}
			return one(inner, op)
		},
		txn: func(ctx context.Context, t driver.Txn) (driver.Revision, error) {
			if s.full() && anyNeedsSpace(t.Writes) {
				return "", errFull
			}
			return inner.Txn(ctx, t)
		},
	}
}

func needsSpace(op driver.Op) bool {
	return op.Kind == driver.OpPut || op.Kind == driver.OpCreate || op.Kind == driver.OpCAS
}

func anyNeedsSpace(ops []driver.Op) bool {
	for _, op := range ops {
		if needsSpace(op) {
			return true
		}
	}
	return false
}

// fullMutant is a mutant whose pubsub facet is wrong while its backend is full.
func fullMutant(name, breaks string, caughtBy []string, change func(s *space) broker) Mutant {
	s := &space{}
	return Mutant{
		Name: "pubsub-full-" + name, Breaks: breaks, CaughtBy: caughtBy, Filler: s,
		Open: breaking(func() broker { return s.refuseMessages(change(s)) }),
	}
}

// fullSettling refuses settlements of a kind while the backend is full: all of them
// if refused is nil.
func fullSettling(kind psdriver.SettleKind, refused func(*brokenSub, *psdriver.Settlement) bool) func(*space) broker {
	return func(s *space) broker {
		return broker{settle: func(_ context.Context, sub *brokenSub, settlement *psdriver.Settlement) (bool, error) {
			if s.full() && settlement.Kind == kind && (refused == nil || refused(sub, settlement)) {
				return true, errFull
			}
			return false, nil
		}}
	}
}

// fullPublishing answers messages in another way while the backend is full.
func fullPublishing(send func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult) func(*space) broker {
	return func(s *space) broker {
		return broker{send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
			if s.full() {
				return send(ctx, next, msgs)
			}
			return next(ctx, msgs)
		}}
	}
}

func pubsubFullMutants() []Mutant {
	return []Mutant{
		fullMutant("unknown", "a message that a full backend refuses has an unknown outcome", cases("pubsub/full-refused"), fullPublishing(func(_ context.Context, _ sending, msgs []psdriver.Message) []psdriver.SendResult {
			return refusedWith(fairlead.Errorf(fairlead.UnknownOutcome, "the server is full"), len(msgs))
		})),
		fullMutant("silent", "the error of a full backend does not say why", cases("pubsub/full-refused"), fullPublishing(func(_ context.Context, _ sending, msgs []psdriver.Message) []psdriver.SendResult {
			return refusedWith(errAway, len(msgs))
		})),
		fullMutant("stores", "a message that a full backend refuses is stored", cases("pubsub/full-refused"), fullPublishing(func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
			next(ctx, msgs)
			return refusedWith(errFull, len(msgs))
		})),
		fullMutant("ack", "an acknowledgement fails on a full backend", cases("pubsub/full-ack", "pubsub/full-key", "pubsub/full-nack"), fullSettling(psdriver.Ack, nil)),
		fullMutant("nack", "nothing can be given back on a full backend", cases("pubsub/full-nack"), fullSettling(psdriver.Nack, nil)),
		fullMutant("extend", "a lease cannot be extended on a full backend", cases("pubsub/full-extend"), fullSettling(psdriver.Extend, nil)),
		fullMutant("key", "a message with a key cannot be acknowledged on a full backend", cases("pubsub/full-key"), fullSettling(psdriver.Ack, func(s *brokenSub, settlement *psdriver.Settlement) bool { return s.last(settlement.Token).Key != "" })),
		fullMutant("receive", "nothing is handed out on a full backend", cases("pubsub/full-ack", "pubsub/full-handle", "pubsub/full-key"), func(s *space) broker {
			return broker{receive: func(ctx context.Context, sub *brokenSub, limit int) ([]psdriver.Delivery, error) {
				if s.full() {
					<-ctx.Done()
					return nil, fairlead.ContextError(ctx)
				}
				return sub.Subscription.Receive(ctx, limit)
			}}
		}),
		fullMutant("close", "a subscription that closes on a full backend does not give back what it held", cases("pubsub/full-close"), func(s *space) broker {
			return broker{close: func(ctx context.Context, sub *brokenSub) error {
				if s.full() {
					return errFull
				}
				return sub.Subscription.Close(ctx)
			}}
		}),
		fullMutant("delete", "a group cannot be deleted on a full backend", cases("pubsub/full-delete"), func(s *space) broker {
			return broker{deleteGroup: func(ctx context.Context, p psdriver.Provider, topic, group string) error {
				if s.full() {
					return errFull
				}
				return p.DeleteGroup(ctx, topic, group)
			}}
		}),
	}
}

// fullKVMutant is a mutant whose kv facet is wrong while its backend is full. wrap
// gets a store that refuses writes as it must.
func fullKVMutant(name, breaks string, caughtBy []string, wrap func(s *space, inner driver.Store, refusing driver.Store) store) Mutant {
	return fullKVMutantOf(&space{}, name, breaks, caughtBy, wrap)
}

func fullKVMutantOf(s *space, name, breaks string, caughtBy []string, wrap func(s *space, inner, refusing driver.Store) store) Mutant {
	m := kvMutantOf("full-"+name, breaks, caughtBy, kvProvider{wrap: func(inner driver.Store) driver.Store {
		refusing := s.refuseWrites(inner)
		refusing.Store = inner
		changes := wrap(s, inner, refusing)
		changes.Store = refusing
		return changes
	}})
	m.Filler = s
	return m
}

func kvFullMutants() []Mutant {
	return []Mutant{
		fullKVMutant("unknown", "a write that a full backend refuses has an unknown outcome", cases("kv/full-refused"), func(_ *space, _, refusing driver.Store) store {
			return store{out: func(_ driver.Op, r *driver.Result) {
				if r.Err == errFull {
					r.Err = fairlead.Errorf(fairlead.UnknownOutcome, "the server is full")
				}
			}}
		}),
		fullKVMutant("stores", "a write that a full backend refuses is applied", cases("kv/full-refused", "kv/full-watch", "kv/full-conditional", "config/full"), func(s *space, inner, refusing driver.Store) store {
			return store{
				each: func(op driver.Op) driver.Result {
					if r := one(refusing, op); r.Err != errFull {
						return r
					}
					one(inner, op)
					return driver.Result{Err: errFull}
				},
				txn: func(ctx context.Context, t driver.Txn) (driver.Revision, error) {
					rev, err := inner.Txn(ctx, t)
					if s.full() && anyNeedsSpace(t.Writes) {
						return "", errFull
					}
					return rev, err
				},
			}
		}),
		fullKVMutant("txn-half", "a full backend applies the deletes of a Txn whose puts it refuses", cases("kv/full-conditional"), func(s *space, inner, refusing driver.Store) store {
			return store{txn: func(ctx context.Context, t driver.Txn) (driver.Revision, error) {
				rev, err := refusing.Txn(ctx, t)
				for _, op := range t.Writes {
					if err == errFull && !needsSpace(op) {
						one(inner, op)
					}
				}
				return rev, err
			}}
		}),
		fullKVMutant("delete", "Delete fails on a full backend", cases("kv/full-deletes", "kv/full-watch"), refusingKind(driver.OpDelete)),
		fullKVMutant("mixed", "a full backend that refuses a Put also reports Deletes as refused that it applies in the meantime", cases("kv/full-mixed"), refusingDuringPuts),
		fullKVMutant("unlock", "DeleteIf fails on a full backend", cases("kv/full-unlocks"), refusingKind(driver.OpDeleteIf)),
		fullKVMutant("watch", "a watcher goes quiet when the backend is full", cases("kv/full-watch"), func(s *space, _, refusing driver.Store) store {
			return withWatcher(refusing, func(w driver.Watcher) func(context.Context) ([]driver.Event, error) {
				return func(ctx context.Context) ([]driver.Event, error) {
					if events, err := w.Next(ctx); !s.full() {
						return events, err
					}
					<-ctx.Done()
					return nil, fairlead.ContextError(ctx)
				}
			})
		}),
		fullKVMutantOf(&space{kept: true}, "for-good", "a backend stays full", cases("kv/full-recovers"), func(*space, driver.Store, driver.Store) store { return store{} }),
	}
}

func refusingKind(kind driver.OpKind) func(s *space, inner, refusing driver.Store) store {
	return func(s *space, _, refusing driver.Store) store {
		return store{each: func(op driver.Op) driver.Result {
			if s.full() && op.Kind == kind {
				return driver.Result{Err: errFull}
			}
			return one(refusing, op)
		}}
	}
}

// refusingDuringPuts applies the deletes during a put that is refused, and answers
// them as the put.
func refusingDuringPuts(s *space, _, refusing driver.Store) store {
	var puts atomic.Int32
	return store{each: func(op driver.Op) driver.Result {
		if !s.full() {
			return one(refusing, op)
		}
		if needsSpace(op) {
			puts.Add(1)
			defer puts.Add(-1)
			time.Sleep(5 * time.Millisecond)
		}
		r := one(refusing, op)
		if op.Kind == driver.OpDelete && puts.Load() > 0 {
			r.Err = errFull
		}
		return r
	}}
}

func rpcFullMutants() []Mutant {
	s := &space{}
	return []Mutant{{
		Name: "rpc-full-final", Breaks: "a call on a full backend fails with an error that says it will stay so", CaughtBy: cases("rpc/full"), Filler: s,
		Open: carriedBy("mem://", carrying{open: func(ctx context.Context, next opening, c rpcdriver.StreamConfig) (rpcdriver.Stream, error) {
			if s.full() {
				return nil, fairlead.Errorf(fairlead.Internal, "the server is full")
			}
			return next(ctx, c)
		}}),
	}}
}
