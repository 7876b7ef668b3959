package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	"fairlead.dev/conformance/internal/intercept"
	kvdriver "fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
)

// maxItems and maxText bound what a line shows of a batch and of a value.
const (
	maxItems = 8
	maxText  = 24
)

// format returns a call and its result in one line.
func format(c *intercept.Call, output any, err error) string {
	text := c.Op
	if in := formatInput(c.Input); in != "" {
		text += " " + in
	}
	out := formatOutput(output)
	if err != nil {
		out = err.Error()
	}
	if out == "" {
		out = "ok"
	}
	return text + " → " + out
}

func formatInput(input any) string {
	switch in := input.(type) {
	case []kvdriver.Op:
		return list(in, formatOp)
	case kvdriver.Txn:
		return "if " + list(in.Conditions, formatCondition) + " then " + list(in.Writes, formatOp)
	case kvdriver.ListRequest:
		return fmt.Sprintf("prefix %q, token %s, limit %d", in.Prefix, quote(in.Token), in.Limit)
	case kvdriver.WatchRequest:
		return fmt.Sprintf("prefix %q, after %s", in.Prefix, quote(string(in.After)))
	case []psdriver.Message:
		return list(in, func(m psdriver.Message) string { return formatMessage(m.ID, m.Key, m.Body) })
	case psdriver.SubscriptionConfig:
		return fmt.Sprintf("group %q, start %d, deadline %v", in.Group, in.Start, in.AckDeadline)
	case []psdriver.Settlement:
		return list(in, func(s psdriver.Settlement) string {
			names := []string{"?", "ack", "nack", "extend", "release"}
			return fmt.Sprintf("%s of token %s, delay %v", names[min(int(s.Kind), len(names)-1)], quote(s.Token), s.Delay)
		})
	case []configdriver.Change:
		return list(in, formatChange)
	case string:
		return quote(in)
	case int:
		return strconv.Itoa(in)
	}
	return ""
}

func formatOutput(output any) string {
	switch out := output.(type) {
	case []kvdriver.Result:
		return list(out, formatResult)
	case kvdriver.Revision:
		return "revision " + quote(string(out))
	case kvdriver.Page:
		return list(out.Entries, formatEntry) + ", next token " + quote(out.Token)
	case []kvdriver.Event:
		return list(out, formatEvent)
	case []psdriver.SendResult:
		return list(out, formatSendResult)
	case []psdriver.Delivery:
		return list(out, func(d psdriver.Delivery) string {
			return fmt.Sprintf("%s, attempt %d", formatMessage(d.ID, d.Key, d.Body), d.Attempt)
		})
	case []error:
		return list(out, formatError)
	case configdriver.Snapshot:
		return formatSnapshot(out)
	case string:
		return quote(out)
	}
	return ""
}

// list formats the first items of a batch.
func list[T any](items []T, one func(T) string) string {
	var parts []string
	for _, item := range items[:min(len(items), maxItems)] {
		parts = append(parts, one(item))
	}
	if more := len(items) - maxItems; more > 0 {
		parts = append(parts, fmt.Sprintf("… %d more", more))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " | ")
}

// quote quotes a text, and cuts a long one.
func quote[T string | []byte](text T) string {
	if len(text) <= maxText {
		return strconv.Quote(string(text))
	}
	return fmt.Sprintf("%q… (%d bytes)", string(text[:maxText]), len(text))
}

func formatOp(op kvdriver.Op) string {
	names := []string{"?", "get", "put", "create", "cas", "delete", "delete if"}
	text := names[min(int(op.Kind), len(names)-1)] + " " + quote(op.Key)
	if op.Value != nil {
		text += " = " + quote(op.Value)
	}
	if op.Revision != "" {
		text += " at revision " + quote(string(op.Revision))
	}
	if op.TTL != 0 {
		text += fmt.Sprintf(" for %v", op.TTL)
	}
	return text
}

func formatCondition(c kvdriver.Condition) string {
	if c.Revision == "" {
		return quote(c.Key) + " does not exist"
	}
	return quote(c.Key) + " is at revision " + quote(string(c.Revision))
}

func formatResult(r kvdriver.Result) string {
	switch {
	case r.Err != nil:
		return formatError(r.Err)
	case r.Value != nil:
		return quote(r.Value) + " at " + quote(string(r.Revision))
	case r.Revision != "":
		return "at " + quote(string(r.Revision))
	default:
		return "ok"
	}
}

// formatError names the code only: the texts of a batch would fill the page.
func formatError(err error) string {
	if err == nil {
		return "ok"
	}
	return fairlead.CodeOf(err).String()
}

func formatEntry(e kvdriver.Entry) string { return quote(e.Key) + " = " + quote(e.Value) }

func formatEvent(e kvdriver.Event) string {
	names := []string{"?", "put", "deleted", "expired"}
	text := names[min(int(e.Kind), len(names)-1)] + " " + quote(e.Key)
	if e.Kind == kvdriver.PutEvent {
		text += " = " + quote(e.Value)
	}
	return text + " at " + quote(string(e.Revision))
}

func formatMessage(id, key string, body []byte) string {
	text := quote(body)
	if id != "" {
		text += " id " + quote(id)
	}
	if key != "" {
		text += " key " + quote(key)
	}
	return text
}

func formatSendResult(r psdriver.SendResult) string {
	switch {
	case r.Err != nil:
		return formatError(r.Err)
	case r.Duplicate:
		return "duplicate"
	default:
		return "stored"
	}
}

func formatChange(c configdriver.Change) string {
	text := "set " + quote(c.Key) + " = " + quote(c.Data)
	if c.Delete {
		text = "delete " + quote(c.Key)
	}
	if c.Checked {
		text += " at version " + quote(c.Version)
	}
	return text
}

func formatSnapshot(s configdriver.Snapshot) string {
	var keys []string
	for key := range s.Values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return "version " + quote(s.Version) + ": " + list(keys, func(k string) string { return quote(k) + " = " + quote(s.Values[k].Data) })
}
