package rpccases

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/rpc"
)

// service is gRPC's own test service, through the stubs that protoc made. A
// case sets what it needs; the rest echoes.
type service struct {
	pb.UnimplementedTestServiceServer
	unary    func(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error)
	download func(in *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error
	upload   func(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error
	duplex   func(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error
}

// EmptyCall returns nothing.
func (*service) EmptyCall(context.Context, *pb.Empty) (*pb.Empty, error) { return &pb.Empty{}, nil }

// UnaryCall echoes the payload.
func (s *service) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if s.unary != nil {
		return s.unary(ctx, in)
	}
	return &pb.SimpleResponse{Payload: in.Payload}, nil
}

// StreamingOutputCall sends the requested messages, each with its number and the
// requested size.
func (s *service) StreamingOutputCall(in *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	if s.download != nil {
		return s.download(in, out)
	}
	for i, p := range in.ResponseParameters {
		if err := out.Send(&pb.StreamingOutputCallResponse{Payload: numberedPayload(i, int(p.Size))}); err != nil {
			return err
		}
	}
	return nil
}

// StreamingInputCall returns how many messages came, if they came in order.
func (s *service) StreamingInputCall(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	if s.upload != nil {
		return s.upload(in)
	}
	for i := 0; ; i++ {
		m, err := in.Recv()
		if err == io.EOF {
			return in.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(i)})
		}
		if err == nil {
			err = checkNumber(i, m.Payload)
		}
		if err != nil {
			return err
		}
	}
}

// FullDuplexCall echoes every payload.
func (s *service) FullDuplexCall(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	if s.duplex != nil {
		return s.duplex(both)
	}
	for {
		m, err := both.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = both.Send(&pb.StreamingOutputCallResponse{Payload: m.Payload})
		}
		if err != nil {
			return err
		}
	}
}

// numberedPayload returns a payload with its number and its size.
func numberedPayload(i, size int) *pb.Payload {
	body := fmt.Appendf(nil, "%d of %d bytes;", i, size)
	if size == 0 {
		return nil
	}
	return &pb.Payload{Body: append(body, make([]byte, max(0, size-len(body)))...)}
}

// checkNumber returns an error unless a payload has that number.
func checkNumber(i int, p *pb.Payload) error {
	var number, size int
	if _, err := fmt.Sscanf(string(p.GetBody()[:min(40, len(p.GetBody()))]), "%d of %d bytes;", &number, &size); err != nil {
		return status.Errorf(codes.DataLoss, "message %d cannot be read: %.40q", i, p.GetBody())
	}
	if want := numberedPayload(i, size); number != i || len(p.Body) != len(want.Body) {
		return status.Errorf(codes.DataLoss, "message %d has the number %d and %d bytes, want %d bytes", i, number, len(p.Body), len(want.Body))
	}
	return nil
}

func textPayload(text string) *pb.Payload { return &pb.Payload{Body: []byte(text)} }

// serve serves a service under a name until the case has ended.
func serve(t *suite.T, p fairlead.Provider, name string, s *service) *rpc.Server {
	srv, err := rpc.NewServer(t.Context(), p, name)
	t.Must(err)
	pb.RegisterTestServiceServer(srv, s)
	serveUntilEnd(t, srv)
	return srv
}

// serveUntilEnd lets a server serve until the case has ended.
func serveUntilEnd(t *suite.T, srv *rpc.Server) {
	t.Must(srv.Listen(t.Context()))
	ended := suite.RunInBackground(func() error { return srv.Serve(t.Context()) })
	t.Cleanup(func(ctx context.Context) error {
		srv.Stop()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return errors.New("a server did not stop")
		}
	})
}

// dial returns a client of a name.
func dial(t *suite.T, p fairlead.Provider, name string) pb.TestServiceClient {
	conn, err := rpc.Dial(t.Context(), p, name)
	t.Must(err)
	t.Cleanup(conn.Close)
	return pb.NewTestServiceClient(conn)
}

// dialNewService serves a service under a new name, and returns a client of it.
func dialNewService(t *suite.T, s *service) pb.TestServiceClient {
	name := t.Name()
	serve(t, t.Provider(), name, s)
	return dial(t, t.Provider(), name)
}

// wantStatus records a failure unless err has the gRPC code.
func wantStatus(t *suite.T, what string, err error, want ...codes.Code) {
	for _, c := range want {
		if status.Code(err) == c {
			return
		}
	}
	t.Errorf("%s: want %v, got %v", what, want, err)
}

// wantEcho calls with a payload and demands it back.
func wantEcho(t *suite.T, ctx context.Context, c pb.TestServiceClient, text string) {
	out, err := c.UnaryCall(ctx, &pb.SimpleRequest{Payload: textPayload(text)})
	if err != nil || string(out.GetPayload().GetBody()) != text {
		t.Errorf("a call with %d bytes (%.30q) gave %.30q, %v", len(text), text, out.GetPayload().GetBody(), err)
	}
}
