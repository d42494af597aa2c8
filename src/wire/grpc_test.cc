#include "wire/grpc.h"

#include <gtest/gtest.h>

namespace witan::wire {
namespace {

TEST(GrpcWords, TimeoutsAreReadInEveryUnitAndNothingElse) {
  using std::chrono::hours;
  EXPECT_EQ(parse_grpc_timeout("2H"), hours(2));
  EXPECT_EQ(parse_grpc_timeout("3M"), std::chrono::minutes(3));
  EXPECT_EQ(parse_grpc_timeout("5S"), seconds(5));
  EXPECT_EQ(parse_grpc_timeout("4999999u"), std::chrono::microseconds(4999999));
  EXPECT_EQ(parse_grpc_timeout("250m"), milliseconds(250));
  EXPECT_EQ(parse_grpc_timeout("0n"), Duration(0));
  EXPECT_GT(parse_grpc_timeout("99999999H").value(), hours(2'000'000)) << "more than 64 bits of nanoseconds";
  for (const char* bad : {"", "S", "5", "5s", "-5S", "+5S", "5 S", "123456789S", "5.0S", "S5"}) {
    EXPECT_EQ(parse_grpc_timeout(bad), std::nullopt) << bad;
  }
}

TEST(GrpcWords, AMessageSurvivesItsHeader) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  std::string encoded;
  percent_encode(all, encoded);
  for (const char c : encoded) EXPECT_TRUE(c >= 0x20 && c <= 0x7e);
  EXPECT_EQ(percent_decode(encoded), all);
  encoded.clear();
  percent_encode("etcdserver: key is not provided", encoded);
  EXPECT_EQ(encoded, "etcdserver: key is not provided") << "ordinary text stays readable";
  encoded.clear();
  percent_encode("100%\n\xc3\xa4", encoded);
  EXPECT_EQ(encoded, "100%25%0A%C3%A4");
}

TEST(GrpcWords, BrokenEscapesStayAsTheyAre) {
  EXPECT_EQ(percent_decode("%"), "%");
  EXPECT_EQ(percent_decode("%4"), "%4");
  EXPECT_EQ(percent_decode("%zz%41"), "%zzA");
  EXPECT_EQ(percent_decode("a%4g"), "a%4g");
}

TEST(GrpcWords, TheFirstOfEqualNamesIsFound) {
  const Metadata metadata = {{"a", "1"}, {"b", "2"}, {"a", "3"}};
  EXPECT_EQ(find_metadata(metadata, "a"), "1");
  EXPECT_EQ(find_metadata(metadata, "c"), std::nullopt);
}

}  // namespace
}  // namespace witan::wire
