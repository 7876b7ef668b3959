module fairlead.dev/internal/dev/peerbench

go 1.26.5

require (
	fairlead.dev v0.0.0
	github.com/fullstorydev/grpchan v1.1.2
	google.golang.org/grpc v1.85.0
)

require (
	github.com/bufbuild/protocompile v0.9.0 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/jhump/protoreflect v1.15.6 // indirect
	github.com/tidwall/btree v1.8.2 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260904194346-d0f1323225a4 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace fairlead.dev => ../../..
