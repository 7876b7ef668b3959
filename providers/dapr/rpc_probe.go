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
	// missingAppTimeout is how soon a runtime must report that an app does not
	// exist.
	missingAppTimeout = 700 * time.Millisecond
	// missingApp is an id that no app has.
	missingApp = "fairlead-nobody"
)

// missingAppCheck is the result of calling an app that does not exist.
type missingAppCheck struct {
	connection int64
	fast       bool
}

// checkRPC measures how soon a call to an app that does not exist fails, once
// for each connection.
func (p *provider) checkRPC(ctx context.Context, st *sidecarState) {
	if !p.offersRPC(*st) {
		return
	}
	connection := p.prober.connections.Load()
	if p.refused.connection != connection {
		p.refused = missingAppCheck{connection, p.refusesFast(ctx)}
	}
	st.refusesFast = p.refused.fast
}

func (p *provider) refusesFast(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, missingAppTimeout)
	defer cancel()
	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs(appHeader, missingApp, streamHeader, "true"))
	stream, err := p.conn.NewStream(ctx, bidirectional, "/fairlead.Nobody/Ask", grpc.ForceCodecV2(rawCodec{}))
	if err == nil {
		var answer []byte
		err = stream.RecvMsg(&answer)
	}
	return isUnknownApp(err)
}

// unknownAppPattern matches the errors of the runtime when it finds no app to
// call.
var unknownAppPattern = regexp.MustCompile(`no host found|failed to resolve|couldn't find service|no healthy services|connection refused|no such host|[Ee]rror while dialing`)

// isUnknownApp reports whether an error of the runtime says that it found no app
// to call.
func isUnknownApp(err error) bool {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Unknown, codes.Internal, codes.Unavailable, codes.NotFound:
		return unknownAppPattern.MatchString(s.Message())
	}
	return false
}
