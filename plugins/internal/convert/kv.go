package convert

import (
	"time"

	"fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// FromOps returns the messages for operations.
func FromOps(ops []driver.Op) []*pluginpb.KVOp {
	now := time.Now()
	return messages(ops, func(m *pluginpb.KVOp, op driver.Op) {
		m.Kind, m.Key, m.Value, m.Revision = pluginpb.KVOpKind(op.Kind), raw(op.Key), op.Value, raw(op.Revision)
		m.TtlNanos, m.TimeoutNanos = int64(op.TTL), until(now, op.Deadline)
	})
}

// ToOps returns the operations of messages.
func ToOps(ops []*pluginpb.KVOp) []driver.Op {
	now := time.Now()
	return each(ops, func(op *pluginpb.KVOp) driver.Op {
		return driver.Op{
			Kind: driver.OpKind(op.Kind), Key: string(op.Key), Value: op.Value, Revision: driver.Revision(op.Revision),
			TTL: time.Duration(op.TtlNanos), Deadline: in(now, op.TimeoutNanos),
		}
	})
}

// FromResults returns the message for results.
func FromResults(rs []driver.Result) *pluginpb.KVResults {
	return &pluginpb.KVResults{Results: messages(rs, func(m *pluginpb.KVResult, r driver.Result) {
		m.Value, m.Revision, m.Error = r.Value, raw(r.Revision), FromError(r.Err)
		if r.Current != nil {
			m.Current = fromEntry(*r.Current)
		}
	})}
}

// ToResults returns the results of a message.
func ToResults(rs *pluginpb.KVResults) []driver.Result {
	return each(rs.GetResults(), func(r *pluginpb.KVResult) driver.Result {
		result := driver.Result{Value: r.Value, Revision: driver.Revision(r.Revision), Err: ToError(r.Error)}
		if r.Current != nil {
			entry := toEntry(r.Current)
			result.Current = &entry
		}
		return result
	})
}

// FromTxn returns the message for a transaction.
func FromTxn(t driver.Txn) *pluginpb.KVTxn {
	return &pluginpb.KVTxn{
		Conditions: messages(t.Conditions, func(m *pluginpb.KVCondition, c driver.Condition) {
			m.Key, m.Revision = raw(c.Key), raw(c.Revision)
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

func fromEntry(e driver.Entry) *pluginpb.KVEntry {
	return &pluginpb.KVEntry{Key: raw(e.Key), Value: e.Value, Revision: raw(e.Revision)}
}

func toEntry(e *pluginpb.KVEntry) driver.Entry {
	entry := driver.Entry{Key: string(e.Key), Value: e.Value, Revision: driver.Revision(e.Revision)}
	if entry.Value == nil && entry.Revision != "" {
		entry.Value = []byte{} // it exists and is empty: it has no bytes on the wire
	}
	return entry
}

// FromPage returns the message for a page.
func FromPage(p driver.Page) *pluginpb.KVPage {
	return &pluginpb.KVPage{
		Entries: messages(p.Entries, func(m *pluginpb.KVEntry, e driver.Entry) {
			m.Key, m.Value, m.Revision = raw(e.Key), e.Value, raw(e.Revision)
		}),
		Token: raw(p.Token), Revision: raw(p.Revision),
	}
}

// ToPage returns the page of a message.
func ToPage(p *pluginpb.KVPage) driver.Page {
	return driver.Page{
		Entries: each(p.GetEntries(), toEntry),
		Token:   string(p.GetToken()), Revision: driver.Revision(p.GetRevision()),
	}
}

// FromEvents returns the message for events.
func FromEvents(events []driver.Event) *pluginpb.KVEvents {
	return &pluginpb.KVEvents{Events: messages(events, func(m *pluginpb.KVEvent, e driver.Event) {
		m.Kind, m.Key, m.Value, m.Revision = pluginpb.KVEventKind(e.Kind), raw(e.Key), e.Value, raw(e.Revision)
	})}
}

// ToEvents returns the events of a message.
func ToEvents(events *pluginpb.KVEvents) []driver.Event {
	return each(events.GetEvents(), func(e *pluginpb.KVEvent) driver.Event {
		event := driver.Event{Kind: driver.EventKind(e.Kind), Key: string(e.Key), Value: e.Value, Revision: driver.Revision(e.Revision)}
		if event.Value == nil && event.Kind == driver.PutEvent {
			event.Value = []byte{}
		}
		return event
	})
}
