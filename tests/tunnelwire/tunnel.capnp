# What connector and edge say to each other, for an independent reading and writing of it in tests.
# Ids, ordinals and types are those of the wire; parameters and results of methods are structs like any other.
@0xe5f0a3c1b7d24986;

struct TunnelAuth @0x9496331ab9cd463f { accountTag @0 :Text; tunnelSecret @1 :Data; }

struct ClientInfo @0x83ced0145b2f114b { clientId @0 :Data; features @1 :List(Text); version @2 :Text; arch @3 :Text; }

struct ConnectionOptions @0xb4bf9861fe035d04 {
  client @0 :ClientInfo;
  originLocalIp @1 :Data;
  replaceExisting @2 :Bool;
  compressionQuality @3 :UInt8;
  numPreviousAttempts @4 :UInt8;
}

struct ConnectionResponse @0xdbaa9d03d52b62dc {
  result :union { error @0 :ConnectionError; connectionDetails @1 :ConnectionDetails; }
}

struct ConnectionError @0xf5f383d2785edb86 { cause @0 :Text; retryAfter @1 :Int64; shouldRetry @2 :Bool; }

struct ConnectionDetails @0xb5f39f082b9ac18a { uuid @0 :Data; locationName @1 :Text; tunnelIsRemotelyManaged @2 :Bool; }

struct UpdateConfigurationResponse @0xdb58ff694ba05cf9 { latestAppliedVersion @0 :Int32; err @1 :Text; }

struct RegisterUdpSessionResponse @0xab6d5210c1f26687 { err @0 :Text; spans @1 :Data; }

struct ConnectRequest @0xc47116a1045e4061 { dest @0 :Text; type @1 :ConnectionType; metadata @2 :List(Metadata); }

enum ConnectionType @0xc52e1bac26d379c8 { http @0; websocket @1; tcp @2; }

struct Metadata @0xe1446b97bfd1cd37 { key @0 :Text; val @1 :Text; }

struct ConnectResponse @0xb1032ec91cef8727 { error @0 :Text; metadata @1 :List(Metadata); }

struct RegisterConnection { auth @0 :TunnelAuth; tunnelId @1 :Data; connIndex @2 :UInt8; options @3 :ConnectionOptions; }

struct Registered { result @0 :ConnectionResponse; }

struct Nothing {}

struct UpdateLocalConfiguration { config @0 :Data; }

struct UpdateConfiguration { version @0 :Int32; config @1 :Data; }

struct ConfigurationUpdated { result @0 :UpdateConfigurationResponse; }

struct RegisterUdpSession {
  sessionId @0 :Data;
  dstIp @1 :Data;
  dstPort @2 :UInt16;
  closeAfterIdleHint @3 :Int64;
  traceContext @4 :Text = "";
}

struct UdpSessionRegistered { result @0 :RegisterUdpSessionResponse; }

struct UnregisterUdpSession { sessionId @0 :Data; message @1 :Text; }
