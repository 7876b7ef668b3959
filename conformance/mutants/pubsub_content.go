package mutants

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	psdriver "fairlead.dev/pubsub/driver"
)

// delivering opens providers that change the messages that they deliver.
func delivering(change func(*psdriver.Delivery)) conformance.Opener {
	return broken(broker{deliver: func(_ *brokenSub, d *psdriver.Delivery) { change(d) }})
}

// renaming opens providers that change each name and value of metadata, or
// leave the pair out.
func renaming(change func(name, value string) (string, string, bool)) conformance.Opener {
	return delivering(func(d *psdriver.Delivery) {
		changed := map[string]string{}
		for name, value := range d.Metadata {
			if n, v, keep := change(name, value); keep {
				changed[n] = v
			}
		}
		d.Metadata = changed
	})
}

var pubsubContentMutants = []Mutant{
	{Name: "pubsub-body-to-zero", Breaks: "a body ends at its first zero byte", CaughtBy: cases("pubsub/binary-body"),
		Open: delivering(func(d *psdriver.Delivery) {
			d.Body, _, _ = bytes.Cut(d.Body, []byte{0})
		})},
	{Name: "pubsub-body-cut", Breaks: "a body is cut at 65,535 bytes", CaughtBy: cases("pubsub/large-body", "pubsub/large-many", "pubsub/max-body"),
		Open: delivering(func(d *psdriver.Delivery) { d.Body = d.Body[:min(len(d.Body), 1<<16-1)] })},
	{Name: "pubsub-body-one-byte", Breaks: "one byte of a body over a mebibyte is changed", CaughtBy: cases("pubsub/large-body"),
		Open: delivering(func(d *psdriver.Delivery) {
			if len(d.Body) > 1<<20 {
				d.Body[1<<20]++
			}
		})},
	{Name: "pubsub-body-json", Breaks: "a body that is JSON is decoded and encoded again", CaughtBy: cases("pubsub/text-body"),
		Open: delivering(func(d *psdriver.Delivery) {
			var v any
			if json.Unmarshal(d.Body, &v) == nil {
				d.Body, _ = json.Marshal(v)
			}
		})},
	{Name: "pubsub-body-lines", Breaks: "CR LF becomes LF", CaughtBy: cases("pubsub/text-body"),
		Open: delivering(func(d *psdriver.Delivery) { d.Body = bytes.ReplaceAll(d.Body, []byte("\r\n"), []byte("\n")) })},
	{Name: "pubsub-body-utf8", Breaks: "what is not UTF-8 in a body becomes question marks", CaughtBy: cases("pubsub/binary-body"),
		Open: delivering(func(d *psdriver.Delivery) { d.Body = bytes.ToValidUTF8(d.Body, []byte{'?'}) })},
	{Name: "pubsub-empty-lost", Breaks: "a message with an empty body is not stored", CaughtBy: cases("pubsub/empty-body"),
		Open: broken(broker{keep: func(_ string, m *psdriver.Message) bool { return len(m.Body) > 0 }})},
	{Name: "pubsub-equal-lost", Breaks: "a message equal to the one before is taken for the same", CaughtBy: cases("pubsub/same-body"),
		Open: breaking(func() broker {
			var mu sync.Mutex
			last := map[string]string{}
			return broker{keep: func(topic string, m *psdriver.Message) bool {
				mu.Lock()
				defer mu.Unlock()
				repeated := m.ID == "" && last[topic] == string(m.Body)
				last[topic] = string(m.Body)
				return !repeated
			}}
		})},
	{Name: "pubsub-meta-lost", Breaks: "metadata is lost", CaughtBy: cases("pubsub/roundtrip", "pubsub/dead-letter", "pubsub/trace", "pubsub/alias-groups"),
		Open: delivering(func(d *psdriver.Delivery) { d.Metadata = nil })},
	{Name: "pubsub-meta-lower", Breaks: "metadata names are folded to lower case", CaughtBy: cases("pubsub/meta-exact", "pubsub/meta-fields", "pubsub/trace"),
		Open: renaming(func(n, v string) (string, string, bool) { return strings.ToLower(n), v, true })},
	{Name: "pubsub-meta-ascii", Breaks: "what is not ASCII in metadata becomes a question mark", CaughtBy: cases("pubsub/meta-exact"),
		Open: renaming(func(n, v string) (string, string, bool) { return ascii(n), ascii(v), true })},
	{Name: "pubsub-meta-empty", Breaks: "metadata with an empty value is left out", CaughtBy: cases("pubsub/meta-exact"),
		Open: renaming(func(n, v string) (string, string, bool) { return n, v, v != "" })},
	{Name: "pubsub-meta-lines", Breaks: "a line end in metadata becomes a space", CaughtBy: cases("pubsub/meta-odd"),
		Open: renaming(func(n, v string) (string, string, bool) {
			spaces := strings.NewReplacer("\r\n", " ", "\n", " ")
			return spaces.Replace(n), spaces.Replace(v), true
		})},
	{Name: "pubsub-meta-trim", Breaks: "spaces around metadata are cut off, as HTTP does", CaughtBy: cases("pubsub/meta-odd", "pubsub/meta-exact"),
		Open: renaming(func(n, v string) (string, string, bool) { return strings.TrimSpace(n), strings.TrimSpace(v), true })},
	{Name: "pubsub-meta-fields", Breaks: "metadata that is named like a field of the backend is left out", CaughtBy: cases("pubsub/meta-fields"),
		Open: renaming(func(n, v string) (string, string, bool) {
			return n, v, n != "id" && n != "data" && !strings.HasPrefix(n, "Nats-")
		})},
	{Name: "pubsub-meta-cut", Breaks: "metadata values are cut at 4 KiB", CaughtBy: cases("pubsub/meta-long"),
		Open: renaming(func(n, v string) (string, string, bool) { return n, v[:min(len(v), 4096)], true })},
	{Name: "pubsub-meta-64", Breaks: "of more than 64 metadata entries some are left out", CaughtBy: cases("pubsub/meta-many"),
		Open: delivering(func(d *psdriver.Delivery) {
			for name := range d.Metadata {
				if len(d.Metadata) > 64 {
					delete(d.Metadata, name)
				}
			}
		})},
	{Name: "pubsub-meta-carried-over", Breaks: "a message without metadata gets the metadata of the message before it", CaughtBy: cases("pubsub/meta-none"),
		Open: breaking(func() broker {
			var mu sync.Mutex
			last := map[string]map[string]string{}
			return broker{deliver: func(s *brokenSub, d *psdriver.Delivery) {
				mu.Lock()
				defer mu.Unlock()
				if d.Metadata == nil {
					d.Metadata = maps.Clone(last[s.config.Topic])
				}
				last[s.config.Topic] = maps.Clone(d.Metadata)
			}}
		})},
	{Name: "pubsub-trace-lost", Breaks: "the trace context is left out", CaughtBy: cases("pubsub/trace"),
		Open: renaming(func(n, v string) (string, string, bool) { return n, v, n != "traceparent" })},
	{Name: "pubsub-id-trimmed", Breaks: "ids are trimmed of spaces", CaughtBy: cases("pubsub/id-given"),
		Open: delivering(func(d *psdriver.Delivery) { d.ID = strings.TrimSpace(d.ID) })},
	{Name: "pubsub-id-other", Breaks: "a message arrives under another id than its receipt names", CaughtBy: cases("pubsub/roundtrip", "pubsub/id-unique", "pubsub/batch-receipts"),
		Open: delivering(func(d *psdriver.Delivery) { d.ID += "'" })},
	{Name: "pubsub-id-repeats", Breaks: "ids that the backend gives repeat after ten", CaughtBy: cases("pubsub/id-unique", "pubsub/position"),
		Open: breaking(func() broker {
			digit := func(id string) string { return id[len(id)-1:] }
			return broker{
				result:  func(_ string, m psdriver.Message, r *psdriver.SendResult) { r.ID = digit(r.ID) },
				deliver: func(_ *brokenSub, d *psdriver.Delivery) { d.ID = digit(d.ID) },
			}
		})},
	{Name: "pubsub-position-local", Breaks: "the position of a delivery counts from where the group began", CaughtBy: cases("pubsub/position", "pubsub/redelivery-same", "pubsub/replay-position"),
		Open: breaking(func() broker {
			var mu sync.Mutex
			counts := map[string]int{}
			return broker{deliver: func(s *brokenSub, d *psdriver.Delivery) {
				mu.Lock()
				defer mu.Unlock()
				group := s.config.Topic + " " + s.config.Group
				counts[group] += 2
				d.Position = strings.Repeat("1", counts[group])
			}}
		})},
	{Name: "pubsub-time-wrong", Breaks: "milliseconds are taken for seconds", CaughtBy: cases("pubsub/time"),
		Open: delivering(func(d *psdriver.Delivery) { d.Time = time.Unix(d.Time.UnixMilli(), 0) })},
	{Name: "pubsub-time-of-delivery", Breaks: "the time of a message is when it was delivered", CaughtBy: cases("pubsub/redelivery-same"),
		Open: delivering(func(d *psdriver.Delivery) { time.Sleep(time.Millisecond); d.Time = time.Now() })},
	{Name: "pubsub-key-lost", Breaks: "the ordering key is used and not delivered", CaughtBy: cases("pubsub/key-exact", "pubsub/dead-letter-key"),
		Open: delivering(func(d *psdriver.Delivery) { d.Key = "" })},
	{Name: "pubsub-limit-unkept", Breaks: "messages over the limit that was published are stored", CaughtBy: cases("pubsub/over-max", "pubsub/batch-partial", "pubsub/failures-apart", "pubsub/atomic-refused"),
		Open: drifting(func(d *fairlead.Description) {
			for i := range d.Facets {
				d.Facets[i].Limits.MaxMessageBytes = 1 << 20
			}
		})},
	{Name: "pubsub-alias-publish", Breaks: "the backend keeps the publisher's slices and maps", CaughtBy: cases("pubsub/alias-publish"),
		Open: breaking(func() broker {
			kept := newShelf()
			return broker{
				result: func(topic string, m psdriver.Message, r *psdriver.SendResult) { kept.put(topic+r.Position, m) },
				deliver: func(s *brokenSub, d *psdriver.Delivery) {
					m := kept.get(s.config.Topic + d.Position)
					d.Body, d.Metadata = m.Body, m.Metadata
				},
			}
		})},
	{Name: "pubsub-alias-groups", Breaks: "deliveries of one message share its memory", CaughtBy: cases("pubsub/alias-groups"),
		Open: breaking(func() broker {
			kept := newShelf()
			return broker{deliver: func(s *brokenSub, d *psdriver.Delivery) {
				m := kept.put(s.config.Topic+d.Position, psdriver.Message{Body: d.Body, Metadata: d.Metadata})
				d.Body, d.Metadata = m.Body, m.Metadata
			}}
		})},
	{Name: "pubsub-alias-deliveries", Breaks: "deliveries received together are slices of one buffer", CaughtBy: cases("pubsub/alias-deliveries"),
		Open: breaking(func() broker {
			var mu sync.Mutex
			buffer := make([]byte, 0, 1<<20)
			return broker{deliver: func(_ *brokenSub, d *psdriver.Delivery) {
				mu.Lock()
				defer mu.Unlock()
				begin := len(buffer)
				buffer = append(buffer, d.Body...)
				d.Body = buffer[begin:]
			}}
		})},
}

func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 127 {
			return '?'
		}
		return r
	}, s)
}

// shelf keeps only the first message that is put under a name.
type shelf struct {
	mu   sync.Mutex
	kept map[string]psdriver.Message
}

func newShelf() *shelf { return &shelf{kept: map[string]psdriver.Message{}} }

func (s *shelf) put(name string, m psdriver.Message) psdriver.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, ok := s.kept[name]; ok {
		return first
	}
	s.kept[name] = m
	return m
}

func (s *shelf) get(name string) psdriver.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[name]
}
