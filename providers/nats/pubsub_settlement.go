package nats

import (
	"fmt"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev/pubsub/driver"
)

// settlement returns the message that reports a settlement to the server.
func settlement(reply string, st driver.Settlement) (*natsgo.Msg, error) {
	m := &natsgo.Msg{Subject: reply}
	switch st.Kind {
	case driver.Ack:
		m.Data = []byte("+ACK")
	case driver.Nack:
		m.Data = []byte("-NAK")
		if st.Delay > 0 {
			m.Data = fmt.Appendf(nil, `-NAK {"delay":%d}`, st.Delay.Nanoseconds())
		}
	case driver.Extend:
		m.Data = []byte("+WPI")
	default:
		return nil, invalid("settlement of the unknown kind %d", st.Kind)
	}
	return m, nil
}
