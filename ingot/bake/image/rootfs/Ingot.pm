# What Ingot's programs in a clone share. Needs perl-base only, which is essential in Debian and Ubuntu.
package Ingot;
use strict;
use warnings;
use IO::Socket::INET;

our $LIBRARY = '/usr/lib/ingot';
my $RUN = '/run/ingot';

sub read_file {
    my ($path) = @_;
    open my $file, '<:raw', $path or return '';
    local $/;
    my $text = <$file>;
    return $text // '';
}

# Bytes as they stand in the section texts and in the test list: control characters and backslashes as \xHH.
sub escape { my ($text) = @_; $text =~ s/([\x00-\x1f\\\x7f])/sprintf('\\x%02x', ord $1)/ge; return $text }
sub unescape { my ($text) = @_; $text =~ s/\\x([0-9a-f]{2})/chr hex $1/ge; return $text }

# A JSON string of bytes. What is no ASCII is written as its bytes' code points: the line stays plain ASCII.
sub json_string {
    my ($text) = @_;
    $text =~ s/([\x00-\x1f"\\\x7f-\xff])/sprintf('\\u%04x', ord $1)/ge;
    return "\"$text\"";
}

# A place for a file that nobody else reads; /run is empty after each boot. Services read their configuration beside it.
sub scratch { my ($name) = @_; mkdir $RUN, 0755; mkdir "$RUN/own", 0700; return "$RUN/own/$name" }

sub sha256 {
    my ($text) = @_;
    my $name = scratch("digest.$$");
    open my $file, '>:raw', $name or die "$name: $!\n";
    print {$file} $text or die "$name: $!\n";
    close $file or die "$name: $!\n";
    open my $sum, '-|', 'sha256sum', $name or die "sha256sum: $!\n";
    my $line = <$sum> // '';
    close $sum or die "sha256sum failed\n";
    unlink $name;
    return substr $line, 0, 64;
}

# The value of a string in /etc/ingot/image.json, which the bake wrote: one key, one line.
sub image {
    my ($key) = @_;
    return read_file('/etc/ingot/image.json') =~ /"$key": "([^"\\]*)"/ ? $1 : '';
}

# Which boot of this machine it is: random(4).
sub boot_id { my $id = read_file('/proc/sys/kernel/random/boot_id'); chomp $id; return $id }

# 1 for the first inventory of this boot, then 2, …
sub next_number {
    my $name = scratch('sequence');
    my ($number) = read_file($name) =~ /^(\d+)$/;
    $number = ($number // 0) + 1;
    open my $file, '>', $name or die "$name: $!\n";
    print {$file} "$number\n" or die "$name: $!\n";
    close $file or die "$name: $!\n";
    return $number;
}

# One line on the serial console, where `ec2 get-console-output` finds it, closed by a digest that shows a torn line.
sub report { my ($word, $json) = @_; return say("$word 1 $json " . substr(sha256($json), 0, 16)) }

# One line on the serial console, for people.
sub say {
    my ($text) = @_;
    my $line = "\r\n$text\r\n";
    # EC2's serial port and QEMU's first one; another machine's console may be elsewhere.
    my $path = -c '/dev/ttyS0' ? '/dev/ttyS0' : '/dev/console';
    for (1 .. 3) {
        open my $console, '>>:raw', $path or die "$path: $!\n";
        my $written = syswrite $console, $line;
        close $console;
        return if defined $written && $written == length $line;
        sleep 1;    # a login prompt that takes the line over hangs up on us
    }
}

# One HTTP request; returns (status, body), or (0, reason).
sub http {
    my ($method, $host, $port, $path, %headers) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Proto => 'tcp', Timeout => 5)
        or return (0, "no connection to $host port $port: $!");
    my $request = "$method $path HTTP/1.0\r\nHost: $host\r\nUser-Agent: ingot\r\n";
    $request .= "$_: $headers{$_}\r\n" for sort keys %headers;
    my $answer = '';
    my $ok = eval {
        local $SIG{ALRM} = sub { die "no answer in 20 seconds\n" };
        alarm 20;
        print {$socket} "$request\r\n";
        # Up to the announced end: a peer may keep the connection open.
        while (sysread $socket, my $piece, 65536) {
            $answer .= $piece;
            last if $answer =~ /^content-length:\s*(\d+).*?\r\n\r\n/ims && length($answer) >= $+[0] + $1;
        }
        alarm 0;
        1;
    };
    my $reason = $@;
    alarm 0;
    close $socket;
    return (0, $reason) unless $ok;
    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    return $head && $head =~ m{^HTTP/\S+ (\d+)} ? ($1, $body // '') : (0, 'no HTTP answer');
}

# A value of the instance metadata service, version 2 (IMDSv2: a token by PUT, then GET); returns undef when there is none.
sub metadata {
    my ($path) = @_;
    my @service = ('169.254.169.254', 80);
    my ($status, $token) =
        http('PUT', @service, '/latest/api/token', 'X-aws-ec2-metadata-token-ttl-seconds' => 300, 'Content-Length' => 0);
    return undef unless $status == 200;
    ($status, my $body) = http('GET', @service, "/latest/$path", 'X-aws-ec2-metadata-token' => $token);
    return $status == 200 ? $body : $status == 404 ? '' : undef;
}

# The same, waiting for the network for at most $limit seconds.
sub wait_for_metadata {
    my ($path, $limit) = @_;
    my $end = time + $limit;
    while (1) {
        my $value = metadata($path);
        return $value if defined $value || time >= $end;
        sleep 1;
    }
}

1;
