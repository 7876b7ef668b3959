package convert

import (
	"time"

	"fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// FromOps returns the messages for operations.
func FromOps(ops []driver.Op) []*pluginpb.KVOp { return each(ops, fromOp) }

func fromOp(op driver.Op) *pluginpb.KVOp {
	return &pluginpb.KVOp{
		Kind: pluginpb.KVOpKind(op.Kind), Key: []byte(op.Key), Value: op.Value, Revision: []byte(op.Revision),
		TtlNanos: int64(op.TTL), TimeoutNanos: until(op.Deadline),
	}
}

// ToOps returns the operations of messages.
func ToOps(ops []*pluginpb.KVOp) []driver.Op { return each(ops, toOp) }

func toOp(op *pluginpb.KVOp) driver.Op {
	return driver.Op{
		Kind: driver.OpKind(op.Kind), Key: string(op.Key), Value: op.Value, Revision: driver.Revision(op.Revision),
		TTL: time.Duration(op.TtlNanos), Deadline: in(op.TimeoutNanos),
	}
}

// FromResults returns the message for results.
func FromResults(rs []driver.Result) *pluginpb.KVResults {
	return &pluginpb.KVResults{Results: each(rs, func(r driver.Result) *pluginpb.KVResult {
		return &pluginpb.KVResult{Value: r.Value, Revision: []byte(r.Revision), Error: FromError(r.Err)}
	})}
}

// ToResults returns the results of a message.
func ToResults(rs *pluginpb.KVResults) []driver.Result {
	return each(rs.GetResults(), func(r *pluginpb.KVResult) driver.Result {
		return driver.Result{Value: r.Value, Revision: driver.Revision(r.Revision), Err: ToError(r.Error)}
	})
}

// FromTxn returns the message for a transaction.
func FromTxn(t driver.Txn) *pluginpb.KVTxn {
	return &pluginpb.KVTxn{
		Conditions: each(t.Conditions, func(c driver.Condition) *pluginpb.KVCondition {
			return &pluginpb.KVCondition{Key: []byte(c.Key), Revision: []byte(c.Revision)}
		}),
		Writes: FromOps(t.Writes),
	}
}

// ToTxn returns the transaction of a message.
func ToTxn(t *pluginpb.KVTxn) driver.Txn {
	return driver.Txn{
		Conditions: each(t.GetConditions(), func(c *pluginpb.KVCondition) driver.Condition {
			return driver.Condition{Key: string(c.Key), Revision: driver.Revision(c.Revision)}
		}),
		Writes: ToOps(t.GetWrites()),
	}
}

// FromPage returns the message for a page.
func FromPage(p driver.Page) *pluginpb.KVPage {
	return &pluginpb.KVPage{
		Entries: each(p.Entries, func(e driver.Entry) *pluginpb.KVEntry {
			return &pluginpb.KVEntry{Key: []byte(e.Key), Value: e.Value, Revision: []byte(e.Revision)}
		}),
		Token: []byte(p.Token), Revision: []byte(p.Revision),
	}
}

// ToPage returns the page of a message.
func ToPage(p *pluginpb.KVPage) driver.Page {
	return driver.Page{
		Entries: each(p.GetEntries(), func(e *pluginpb.KVEntry) driver.Entry {
			return driver.Entry{Key: string(e.Key), Value: e.Value, Revision: driver.Revision(e.Revision)}
		}),
		Token: string(p.GetToken()), Revision: driver.Revision(p.GetRevision()),
	}
}

// FromEvents returns the message for events.
func FromEvents(events []driver.Event) *pluginpb.KVEvents {
	return &pluginpb.KVEvents{Events: each(events, func(e driver.Event) *pluginpb.KVEvent {
		return &pluginpb.KVEvent{Kind: pluginpb.KVEventKind(e.Kind), Key: []byte(e.Key), Value: e.Value, Revision: []byte(e.Revision)}
	})}
}

// ToEvents returns the events of a message.
func ToEvents(events *pluginpb.KVEvents) []driver.Event {
	return each(events.GetEvents(), func(e *pluginpb.KVEvent) driver.Event {
		return driver.Event{Kind: driver.EventKind(e.Kind), Key: string(e.Key), Value: e.Value, Revision: driver.Revision(e.Revision)}
	})
}
