#!/usr/bin/perl
# Fetches this clone's configuration: user data says where each value is, the clone's role fetches it from Systems Manager's
# parameters and from Secrets Manager. All of it is fetched before any of it is written, to /run, which is memory. What goes wrong is
# said on the console and in the journal by name; values are not. Needs perl-base and openssl.
#   configure             at boot
#   configure --refresh   later: writes what has changed, and tells the services
use strict;
use warnings;
use integer;
use Fcntl;
use lib '/usr/lib/ingot';
use Ingot;

my $DIRECTORY = '/run/ingot';
my $LIMIT = 120;      # seconds for all of it, as long as what fails may be gone with the next try
my $SETTLING = 40;    # seconds in which a new role, its permissions and its credentials become known everywhere; mostly under ten
my $ANSWER = 20;      # seconds for one answer
my $SAY_AFTER = 10;   # seconds of waiting after which the console says for what, and again whenever that changes
my $MOST = 1 << 20;   # bytes of an answer: a secret has 64 KiB at most, ten parameters 80 KiB

my $refresh = @ARGV && $ARGV[0] eq '--refresh';
my $begun = time;

# --- SHA-256 (FIPS 180-4) and HMAC (RFC 2104): in memory, since keys are no files --------------------------------------------

my @K;
my @H0;

# The first 32 bits of the fractional parts of the square and cube roots of primes.
sub constants {
    no integer;
    my @primes;
    for (my $n = 2; @primes < 64; $n++) {
        push @primes, $n unless grep { $n % $_ == 0 } @primes;
    }
    @H0 = map { fraction($_**(1 / 2)) } @primes[0 .. 7];
    @K = map { fraction($_**(1 / 3)) } @primes;
    return;
}

sub fraction { no integer; my ($root) = @_; return int(($root - int $root) * 2**32) }

sub rotate { my ($word, $by) = @_; return (($word >> $by) | ($word << (32 - $by))) & 0xffffffff }

sub sha256 {
    my ($text) = @_;
    constants() unless @K;
    my @hash = @H0;
    my $bits = 8 * length $text;
    $text .= "\x80" . "\0" x ((55 - length $text) % 64 + ((55 - length $text) % 64 < 0 ? 64 : 0)) . pack 'NN', 0, $bits;
    for (my $at = 0; $at < length $text; $at += 64) {
        my @w = unpack 'N16', substr $text, $at, 64;
        for my $i (16 .. 63) {
            my $s0 = rotate($w[$i - 15], 7) ^ rotate($w[$i - 15], 18) ^ ($w[$i - 15] >> 3);
            my $s1 = rotate($w[$i - 2], 17) ^ rotate($w[$i - 2], 19) ^ ($w[$i - 2] >> 10);
            $w[$i] = ($w[$i - 16] + $s0 + $w[$i - 7] + $s1) & 0xffffffff;
        }
        my ($a, $b, $c, $d, $e, $f, $g, $h) = @hash;
        for my $i (0 .. 63) {
            my $s1 = rotate($e, 6) ^ rotate($e, 11) ^ rotate($e, 25);
            my $one = $h + $s1 + (($e & $f) ^ (~$e & 0xffffffff & $g)) + $K[$i] + $w[$i];
            my $s0 = rotate($a, 2) ^ rotate($a, 13) ^ rotate($a, 22);
            my $two = $s0 + (($a & $b) ^ ($a & $c) ^ ($b & $c));
            ($h, $g, $f, $e, $d, $c, $b, $a) = ($g, $f, $e, ($d + $one) & 0xffffffff, $c, $b, $a, ($one + $two) & 0xffffffff);
        }
        my @more = ($a, $b, $c, $d, $e, $f, $g, $h);
        @hash = map { ($hash[$_] + $more[$_]) & 0xffffffff } 0 .. 7;
    }
    return pack 'N8', @hash;
}

sub hmac {
    my ($key, $text) = @_;
    $key = sha256($key) if length $key > 64;
    $key .= "\0" x (64 - length $key);
    return sha256(($key ^ "\x5c" x 64) . sha256(($key ^ "\x36" x 64) . $text));
}

# --- JSON and base64 -----------------------------------------------------------------------------------------------------------

# The value of a JSON text: hashes, arrays, and texts as UTF-8. Numbers, true, false and null are texts as they stand.
sub json {
    my ($text) = @_;
    my $value = json_value(\$text, 0);
    $text =~ /\G\s*/gc;
    die "no JSON\n" if (pos($text) // 0) < length $text;
    return $value;
}

sub json_value {
    my ($text, $depth) = @_;
    die "no JSON\n" if $depth > 50;
    $$text =~ /\G\s*/gc;
    if ($$text =~ /\G\{\s*/gc) {
        my %found;
        return \%found if $$text =~ /\G\}/gc;
        while (1) {
            $$text =~ /\G\s*(?=")/gc or die "no JSON\n";
            my $name = json_value($text, $depth + 1);
            $$text =~ /\G\s*:/gc or die "no JSON\n";
            $found{$name} = json_value($text, $depth + 1);
            next if $$text =~ /\G\s*,/gc;
            return \%found if $$text =~ /\G\s*\}/gc;
            die "no JSON\n";
        }
    }
    if ($$text =~ /\G\[\s*/gc) {
        my @found;
        return \@found if $$text =~ /\G\]/gc;
        while (1) {
            push @found, json_value($text, $depth + 1);
            next if $$text =~ /\G\s*,/gc;
            return \@found if $$text =~ /\G\s*\]/gc;
            die "no JSON\n";
        }
    }
    if ($$text =~ /\G"/gc) {
        my $found = '';
        while (1) {
            if ($$text =~ /\G([^"\\]+)/gc) { $found .= $1 }
            elsif ($$text =~ /\G"/gc) { return $found }
            elsif ($$text =~ /\G\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})/gc) {
                $found .= utf8(0x10000 + ((hex($1) & 0x3ff) << 10) + (hex($2) & 0x3ff));
            }
            elsif ($$text =~ /\G\\u([0-9a-fA-F]{4})/gc) { $found .= utf8(hex $1) }
            elsif ($$text =~ m{\G\\(["\\/bfnrt])}gc) {
                my %plain = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");
                $found .= $plain{$1} // $1;
            }
            else { die "no JSON\n" }
        }
    }
    return $1 if $$text =~ /\G([-+0-9.eE]+|true|false|null)/gc;
    die "no JSON\n";
}

sub utf8 { my $text = chr $_[0]; utf8::encode($text); return $text }

sub base64 {
    my ($text) = @_;
    die "no base64\n" if $text =~ m{[^A-Za-z0-9+/=\s]};
    $text =~ tr{A-Za-z0-9+/}{}cd;
    $text =~ tr{A-Za-z0-9+/}{ -_};    # as uuencode has it
    my $bytes = '';
    $bytes .= unpack 'u', chr(32 + length($1) * 3 / 4) . $1 while $text =~ /(.{1,60})/gs;
    return $bytes;
}

# --- AWS -------------------------------------------------------------------------------------------------------------------------

# What may be gone with the next try, at once or (settling) for a while only. Everything else is an error that stays.
sub transient { die { text => $_[0], for => $LIMIT } }
sub settling { die { text => $_[0], for => $SETTLING } }

my %place;    # where services are: read once

sub place {
    return if %place;
    my %found;
    for (['region', 'meta-data/placement/region'], ['domain', 'meta-data/services/domain'], ['endpoint', 'meta-data/services/endpoint']) {
        my ($name, $path) = @$_;
        $found{$name} = Ingot::metadata($path) // transient('the instance metadata service does not answer');
    }
    die "the instance metadata has no region\n" if $found{region} !~ /^[a-z0-9-]+$/;
    # EC2 has no such entry. Where a local cloud serves the metadata, its APIs are there, by HTTP.
    die "services/endpoint of the instance metadata is no address\n"
        if $found{endpoint} ne '' && $found{endpoint} !~ m{^http://[0-9a-z.]+:\d+$};
    $found{domain} = 'amazonaws.com' if $found{domain} !~ /^[a-z0-9.-]+$/;
    %place = %found;
    return;
}

sub credentials {
    my $path = 'meta-data/iam/security-credentials/';
    my $role = Ingot::metadata($path) // transient('the instance metadata service does not answer');
    settling('this clone has no role: its launch template names no instance profile') if $role eq '';
    $role = (split /\n/, $role)[0];
    my $text = Ingot::metadata("$path$role") // transient('the instance metadata service does not answer');
    my $found = eval { json($text) } // {};
    my $missing = grep { ($found->{$_} // '') eq '' } qw(AccessKeyId SecretAccessKey Token);
    settling("there are no credentials of the role $role yet") if $missing;
    return $found;
}

# AWS Signature Version 4 of a POST to / with a JSON body (IAM user guide, "Create a signed AWS API request").
sub signed {
    my ($service, $host, $target, $body, $keys) = @_;
    my ($second, $minute, $hour, $day, $month, $year) = gmtime;
    my $date = sprintf '%04d%02d%02d', $year + 1900, $month + 1, $day;
    my $when = $date . sprintf 'T%02d%02d%02dZ', $hour, $minute, $second;
    my %headers = (
        'content-type' => 'application/x-amz-json-1.1', host => $host, 'x-amz-date' => $when,
        'x-amz-security-token' => $keys->{Token}, 'x-amz-target' => $target,
    );
    my $names = join ';', sort keys %headers;
    my $request = join "\n", 'POST', '/', '', (map { "$_:$headers{$_}" } sort keys %headers), '', $names, unpack 'H*', sha256($body);
    my $scope = "$date/$place{region}/$service/aws4_request";
    my $text = join "\n", 'AWS4-HMAC-SHA256', $when, $scope, unpack 'H*', sha256($request);
    my $key = "AWS4$keys->{SecretAccessKey}";
    $key = hmac($key, $_) for split m{/}, $scope;
    $headers{authorization} = "AWS4-HMAC-SHA256 Credential=$keys->{AccessKeyId}/$scope, SignedHeaders=$names, Signature="
        . unpack 'H*', hmac($key, $text);
    return %headers;
}

# Sends bytes to an address and returns the whole answer: by openssl, which checks the certificate and the name in it, or for an
# endpoint of http:// as it is.
sub exchange {
    my ($host, $port, $by_tls, $request) = @_;
    my $answer = '';
    my ($socket, $child);
    local $SIG{PIPE} = 'IGNORE';
    my $ok = eval {
        local $SIG{ALRM} = sub { die "no answer from $host in $ANSWER seconds\n" };
        alarm $ANSWER;
        if ($by_tls) {
            pipe my $from, my $to or die "pipe: $!\n";
            my $errors = Ingot::scratch('openssl');
            $child = open $socket, '-|';
            die "fork: $!\n" unless defined $child;
            if (!$child) {
                close $to;
                open STDIN, '<&', $from or exit 1;
                open STDERR, '>', $errors or exit 1;
                # No -verify: by itself s_client goes on after a certificate that it cannot verify.
                exec 'openssl', 's_client', '-quiet', '-verify_quiet', '-verify_return_error', '-verify_hostname', $host, '-servername', $host,
                    '-connect', "$host:$port" or exit 127;
            }
            close $from;
            syswrite $to, $request;
            $answer = read_answer($socket);
            close $to;    # not before: at the end of its input s_client may hang up
            if ($answer eq '') {
                my ($reason) = Ingot::read_file($errors) =~ /(verify error:.*|.*(?:refused|unreachable|timed out|lookup|resolution|not known).*)/;
                die "no connection to $host" . (defined $reason ? ": $reason" : '') . "\n";
            }
        }
        else {
            $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Proto => 'tcp', Timeout => 5)
                or die "no connection to $host port $port: $!\n";
            syswrite $socket, $request;
            $answer = read_answer($socket);
        }
        alarm 0;
        1;
    };
    my $reason = $@;
    alarm 0;
    kill 'TERM', $child if $child;
    close $socket if $socket;
    if (!$ok) { chomp $reason; transient($reason) }
    return $answer;
}

# Up to the announced end: a peer may keep the connection open.
sub read_answer {
    my ($socket) = @_;
    my $answer = '';
    while (sysread $socket, my $piece, 65536) {
        $answer .= $piece;
        die "an answer of more than $MOST bytes\n" if length $answer > $MOST;
        last if $answer =~ /^content-length:\s*(\d+).*?\r\n\r\n/ims && length($answer) >= $+[0] + $1;
    }
    return $answer;
}

# One call of a JSON API; returns the decoded answer. ``what``: what it is about, for messages.
sub call {
    my ($service, $target, $body, $what) = @_;
    place();
    my ($host, $port, $by_tls) = ("$service.$place{region}.$place{domain}", 443, 1);
    ($host, $port, $by_tls) = ($1, $2, 0) if $place{endpoint} =~ m{^http://(.*):(\d+)$};
    my %headers = signed($service, $by_tls ? $host : "$host:$port", $target, $body, credentials());
    my $request = "POST / HTTP/1.1\r\n";
    $request .= "$_: $headers{$_}\r\n" for sort keys %headers;
    $request .= 'Content-Length: ' . length($body) . "\r\nConnection: close\r\n\r\n$body";
    my ($head, $text) = split /\r\n\r\n/, exchange($host, $port, $by_tls, $request), 2;
    my ($status) = ($head // '') =~ m{^HTTP/\S+ (\d+)} or transient("$host gave no HTTP answer");
    $text = unchunked($text) if $head =~ /^transfer-encoding:\s*chunked/im;
    transient("$host broke its answer off") if $head =~ /^content-length:\s*(\d+)/im && length $text < $1;
    my $found = eval { json($text) };
    return $found if $status == 200 && ref $found eq 'HASH';
    transient("$host gave an answer that is no JSON") if $status == 200;
    my $code = ref $found eq 'HASH' ? $found->{__type} // $found->{code} // '' : '';
    $code =~ s/.*#//;
    my $told = ref $found eq 'HASH' ? $found->{message} // $found->{Message} // '' : '';
    my $line = "$what: " . join ' ', grep { $_ ne '' } ($code || "HTTP status $status"), $told;
    transient($line) if $status >= 500 || $code =~ /Throttl|TooManyRequests|RequestLimit|InternalS|ServiceUnavailable/;
    settling($line) if $code =~ /AccessDenied|UnrecognizedClient|InvalidClientTokenId|ExpiredToken|InvalidSignature|RequestExpired/;
    die "$line\n";
}

sub unchunked {
    my ($text) = @_;
    my $whole = '';
    while ($text =~ /\G([0-9a-fA-F]+)[^\r\n]*\r\n/gc) {
        my $length = hex $1;
        return $whole if !$length;
        my $at = pos $text;
        last if length($text) < $at + $length + 2;
        $whole .= substr $text, $at, $length;
        pos($text) = $at + $length + 2;
    }
    transient('an answer was broken off');
}

# --- What the image declares, and what user data says of it ---------------------------------------------------------------------

my (%file, @variables, @secrets, %example, %on_change);

sub declared {
    for (split /\n/, Ingot::read_file("$Ingot::LIBRARY/configuration")) {
        my ($kind, $name, @rest) = map { Ingot::unescape($_) } split /\t/, $_, -1;
        if ($kind eq 'environment') { $file{environment} = [$name, @rest] }
        elsif ($kind eq 'variable') { push @variables, $name; $example{"variable $name"} = $rest[0] }
        elsif ($kind eq 'secret') { push @secrets, $name; $file{"secrets/$name"} = [@rest[0 .. 2]]; $example{"secret $name"} = $rest[3] }
        elsif ($kind eq 'on-change') { $on_change{$name} = [@rest] }
    }
    die "the image declares no configuration\n" unless $file{environment};
    return;
}

# Where each value is, by `variable NAME` and `secret NAME`: lines `# ingot: KIND NAME SOURCE WORDS…`, which mean nothing to cloud-init
# and to shells. Where there is no fleet to say them, `{"ingot": {"test": true}}` or "examples" has the recipe's examples stand in.
sub told {
    my ($user_data) = @_;
    my %source;
    for ($user_data =~ /^# ingot: (.*?)\r?$/mg) {
        my ($kind, $name, $from, @words) = split / /;
        $source{"$kind $name"} = [$from, @words] if defined $from;
    }
    my $examples = $user_data =~ /"ingot"\s*:\s*\{[^{}]*"(?:test|examples)"\s*:\s*true\b/;
    my @missing;
    for ((map { "variable $_" } @variables), map { "secret $_" } @secrets) {
        next if $source{$_};
        if ($examples) { $source{$_} = ['example'] }
        else { push @missing, $_ }
    }
    die 'the user data does not say where these are: ' . join(', ', @missing) . "\n" if @missing;
    return \%source;
}

my %secret;    # by id: a secret is fetched once, so that all its keys are of one version

sub secret {
    my ($id, $what) = @_;
    return $secret{$id} //= do {
        my $answer = call('secretsmanager', 'secretsmanager.GetSecretValue', '{"SecretId":' . Ingot::json_string($id) . '}', $what);
        my ($text, $binary) = @$answer{qw(SecretString SecretBinary)};
        defined $text ? $text : defined $binary ? base64($binary) : die "$what has no value\n";
    };
}

# The values of all names; dies of the first that cannot be had.
sub values_of {
    my ($source) = @_;
    my (%value, %names_of);
    %secret = ();
    for my $key (sort keys %$source) {
        my ($from, @words) = @{ $source->{$key} };
        if ($from eq 'example') { $value{$key} = $example{$key} }
        elsif ($from eq 'value') { $value{$key} = base64($words[0] // '') }
        elsif ($from eq 'parameter') { push @{ $names_of{ $words[0] } }, $key }
        elsif ($from eq 'secret') {
            my ($id, $field) = @words;
            my $what = "the secret $id of $key";
            my $whole = secret($id, $what);
            if (defined $field) {
                $field = base64($field);
                my $fields = eval { json($whole) };
                die "$what is no JSON object, so it has no key $field\n" unless ref $fields eq 'HASH';
                die "$what has no key $field\n" unless defined $fields->{$field};
                die "the key $field of $what is no text\n" if ref $fields->{$field};
                $whole = $fields->{$field};
            }
            $value{$key} = $whole;
        }
        else { die "the user data says '$from' of $key, which this image does not know\n" }
    }
    my @names = sort keys %names_of;
    while (my @ten = splice @names, 0, 10) {    # as many as GetParameters takes
        my $body = '{"Names":[' . join(',', map { Ingot::json_string($_) } @ten) . '],"WithDecryption":true}';
        my $answer = call('ssm', 'AmazonSSM.GetParameters', $body, 'the parameters ' . join(', ', @ten));
        my @unknown = @{ $answer->{InvalidParameters} // [] };
        die 'there is no parameter ' . join(', ', @unknown) . "\n" if @unknown;
        for my $parameter (@{ $answer->{Parameters} // [] }) {
            $value{$_} = $parameter->{Value} for @{ delete $names_of{ $parameter->{Name} } // [] };
        }
    }
    die 'Systems Manager gave no value of ' . join(', ', sort keys %names_of) . "\n" if %names_of;
    return \%value;
}

# A file's name, owner, group, mode and content. A name that is there is never half of one.
sub put {
    my ($name, $content) = @_;
    my ($owner, $group, $mode) = @{ $file{$name} };
    my $path = "$DIRECTORY/$name";
    my ($user, $team) = (scalar getpwnam $owner, scalar getgrnam $group);
    die "$path: there is no user $owner\n" unless defined $user;
    die "$path: there is no group $group\n" unless defined $team;
    unlink "$path.new";
    sysopen my $file, "$path.new", O_WRONLY | O_CREAT | O_EXCL, 0600 or die "$path.new: $!\n";
    binmode $file;
    print {$file} $content or die "$path.new: $!\n";
    close $file or die "$path.new: $!\n";
    chown $user, $team, "$path.new" or die "$path.new: $!\n";
    chmod oct $mode, "$path.new" or die "$path.new: $!\n";
    rename "$path.new", $path or die "$path: $!\n";
    return;
}

# As systemd.exec(5), EnvironmentFile=, and a shell read it.
sub environment {
    my ($value) = @_;
    my $text = '';
    for my $name (@variables) {
        my $quoted = $value->{"variable $name"};
        die "the value of the variable $name has a NUL byte, which no variable can hold\n" if $quoted =~ /\0/;
        my $copy = $quoted;
        die "the value of the variable $name is not UTF-8, which systemd asks for\n" unless utf8::decode($copy);
        $quoted =~ s/(["\\\$`])/\\$1/g;
        $text .= "$name=\"$quoted\"\n";
    }
    return $text;
}

# --- The program -------------------------------------------------------------------------------------------------------------------

my $said = '';

sub attempt {
    my $user_data = Ingot::metadata('user-data') // transient('the instance metadata service does not answer');
    return values_of(told($user_data));
}

sub run {
    declared();
    my $value;
    until ($value = eval { attempt() }) {
        my $error = $@;
        die $error unless ref $error;
        die "$error->{text} (for " . (time - $begun) . " s)\n" if time - $begun >= $error->{for};
        if ($said ne $error->{text} && time - $begun >= $SAY_AFTER) {
            Ingot::say('ingot: waits for its configuration: ' . Ingot::escape($error->{text}));
            $said = $error->{text};
        }
        sleep 1;
    }
    my %content = (environment => environment($value), map { ("secrets/$_" => $value->{"secret $_"}) } @secrets);
    umask 022;
    mkdir $_, 0755 for $DIRECTORY, "$DIRECTORY/secrets";
    my @changed = grep { !-e "$DIRECTORY/$_" || Ingot::read_file("$DIRECTORY/$_") ne $content{$_} } sort keys %content;
    # The environment last: a service that reads it finds the secrets.
    put($_, $content{$_}) for sort { ($a eq 'environment') <=> ($b eq 'environment') || $a cmp $b } @changed;
    if ($refresh && @changed) {
        print 'changed: ', join(', ', @changed), "\n";
        for my $verb (sort keys %on_change) { system 'systemctl', '--no-block', $verb, @{ $on_change{$verb} } }
    }
    return;
}

# For the tests of the recipe, which need not wait then.
sub unconfigured {
    my ($reason) = @_;
    open my $file, '>', Ingot::scratch('unconfigured') or return;
    print {$file} $reason;
    close $file;
    return;
}

if (!eval { run(); 1 }) {
    my $why = ref $@ ? $@->{text} : $@;
    chomp $why;
    Ingot::say('ingot: the configuration cannot be had: ' . Ingot::escape($why));
    print STDERR "$why\n";
    unconfigured($why) unless $refresh;
    exit 1;
}
unlink Ingot::scratch('unconfigured');
