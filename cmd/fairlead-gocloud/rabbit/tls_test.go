package rabbit

import (
	"errors"
	"net/url"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub"
)

func TestTLS(t *testing.T) {
	s := testbed.Rabbit(t, testbed.RabbitTLS())
	t.Setenv("RABBIT_PASSWORD", "guest")
	ca := "?ca-file=" + url.QueryEscape(s.Certificates().CA)
	p := open(t, "gocloud+rabbits://guest@"+s.Addr()+ca+"&password-env=RABBIT_PASSWORD")
	sub := subscribe(t, p, "secret", pubsub.Group("g"))
	publish(t, p, "secret", "m")
	check.NoError(t, receive(t, sub, 1)["m"].Ack(t.Context()))

	for what, address := range map[string]string{
		"a certificate of an unknown authority": "gocloud+rabbits://" + s.Addr(),
		"another name":                          "gocloud+rabbits://" + s.Addr() + ca + "&server-name=other.example",
		"no TLS":                                "gocloud+rabbit://" + s.Addr(),
	} {
		p, err := fairlead.Open(t.Context(), address)
		if err == nil {
			_ = p.Close(t.Context())
		}
		if !errors.Is(err, fairlead.Unavailable) {
			t.Errorf("%s: %v, want unavailable", what, err)
		}
	}
}
