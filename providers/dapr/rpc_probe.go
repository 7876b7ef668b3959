package dapr

import (
	"context"
	"regexp"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// fastRefusal is how soon a runtime must say that there is no app of a name.
	fastRefusal = 700 * time.Millisecond
	// nobodyApp is an id that no app has.
	nobodyApp = "fairlead-nobody"
)

// refusal is the outcome of calling nobody.
type refusal struct {
	connection int64
	fast       bool
}

// tryRPC looks how soon a call of an app that does not exist fails, once for
// each connection.
func (p *provider) tryRPC(ctx context.Context, st *state) {
	if !p.offersRPC(*st) {
		return
	}
	connection := p.prober.connections.Load()
	if p.refused.connection != connection {
		p.refused = refusal{connection, p.refusesFast(ctx)}
	}
	st.refusesFast = p.refused.fast
}

func (p *provider) refusesFast(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, fastRefusal)
	defer cancel()
	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs(appHeader, nobodyApp, streamHeader, "true"))
	stream, err := p.conn.NewStream(ctx, bothWays, "/fairlead.Nobody/Ask", grpc.ForceCodecV2(rawCodec{}))
	if err == nil {
		var answer []byte
		err = stream.RecvMsg(&answer)
	}
	return nobody(err)
}

// noApp matches what the runtime says when it finds no app to hand a call to.
var noApp = regexp.MustCompile(`no host found|failed to resolve|couldn't find service|no healthy services|connection refused|no such host|[Ee]rror while dialing`)

// nobody reports whether an error of the runtime says that it has found no
// app to hand a call to.
func nobody(err error) bool {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Unknown, codes.Internal, codes.Unavailable, codes.NotFound:
		return noApp.MatchString(s.Message())
	}
	return false
}
